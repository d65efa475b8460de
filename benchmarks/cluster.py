"""What a cluster costs: recorded responses to scores on two Dask workers over the local runner.

Both on this machine, in turn, on the same inputs; everything included, from the start of the
process `qibox score` to its end. The workers have imported what they need, as those of a cluster
that stands have: a small run goes first.

Run: python benchmarks/cluster.py /tmp/qibox-bench
"""

import argparse
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from inputs import MODELS, make
from measuring import QIBOX, Measured, measure, score_command

SMALL = 2_000  # samples of the run that goes first


@contextmanager
def cluster(workers: int) -> Iterator[list[str]]:
    """Workers on this machine: the words of a command that scores on them."""
    command = [*QIBOX, "cluster", "local", "--workers", str(workers)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()
        finally:
            process.terminate()  # Ctrl-C may be ignored by what a shell started beside it


def timed(folder: Path, options: list[str]) -> Measured:
    """Score from nothing."""
    out = folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    return measure([*score_command(folder, out), *options])


def show(name: str, done: Measured) -> None:
    """Print what a run took, step by step."""
    print(f"{name}: {done.seconds:.1f} s, peak memory {done.peak_mb:,.0f} MiB")
    before = 0.0
    for at, line in done.lines:
        if line.strip():
            print(f"{at - before:8.1f} s  {line}")
            before = at
    print(f"{done.seconds - before:8.1f} s  account")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where recordings and runs are put")
    parser.add_argument("--samples", type=int, default=159_000)
    parser.add_argument("--responses", type=int, default=5, help="K, a model and sample")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    folder = arguments.folder / f"{arguments.samples}x{arguments.responses}"
    small = arguments.folder / f"{SMALL}x{arguments.responses}"
    make(folder, arguments.samples, arguments.responses)
    make(small, SMALL, arguments.responses)
    rows = arguments.samples * len(MODELS) * arguments.responses
    print(f"{arguments.samples:,} samples × {len(MODELS)} × {arguments.responses} = {rows:,} rows")
    here, there = [], []
    with cluster(arguments.workers) as options:
        timed(small, options)
        for _ in range(arguments.rounds):
            here.append(timed(folder, []))
            there.append(timed(folder, options))
    show("here", here[-1])
    show(f"on {arguments.workers} workers", there[-1])
    print(f"ratio: {median(d.seconds for d in there) / median(d.seconds for d in here):.2f}")


if __name__ == "__main__":
    main()
