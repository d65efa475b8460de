"""What `qibox plan` says a job takes over what it then takes, on the miniature world.

The plan is made first, on a probe drawn at random; then `qibox score` does the job anew, each a
command of its own. The last line is `ratio: VALUE`, time predicted over time taken; wanted within
25 %.

Run: python benchmarks/plan.py /tmp/qibox-plan --limit 400 --probe 60
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

_TOLD = re.compile(r"^in all: .*?\((?P<seconds>[\d.,]+) s\)", re.MULTILINE)
_BOX = re.compile(r"^the box would let .*$", re.MULTILINE)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the run is put")
    parser.add_argument("--limit", type=int, default=400, help="samples of the job")
    parser.add_argument("--probe", type=int, default=60, help="samples that are asked first")
    parser.add_argument("--responses", type=int, default=5, help="K, a model and sample")
    arguments = parser.parse_args()
    run = arguments.folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    job = ["--limit", arguments.limit, "--samples-per-model", arguments.responses, "--quiet"]
    began = time.monotonic()
    said = qibox("plan", *job, "--probe", arguments.probe)
    print(f"the plan took {time.monotonic() - began:.1f} s")
    found = _TOLD.search(said)
    assert found is not None, said
    predicted = float(found["seconds"].replace(",", ""))
    began = time.monotonic()
    qibox("score", *job, "--out", run)
    taken = time.monotonic() - began
    print(f"{arguments.limit} samples: predicted {predicted:.1f} s, taken {taken:.1f} s")
    box = _BOX.search(said)
    assert box is not None, said
    chosen = qibox("select", run, "--dry-run")
    inside = re.search(r"(\d+) of \d+ scored samples", chosen)
    print(f"{box[0]}; it lets {inside[1] if inside else 0} through")
    print(f"ratio: {predicted / taken:.3f}")


def qibox(*words: object) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "qibox.cli", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
