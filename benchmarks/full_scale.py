"""Seconds from recorded responses to scores at full scale, everything included.

From the start of the process `qibox score` to its end: imports, reading the pool into shards, all
waves, and the account at the end.

Run: python benchmarks/full_scale.py /tmp/qibox-bench
"""

import argparse
import shutil
from pathlib import Path
from statistics import median

from inputs import MODELS, make
from measuring import measure, score_command


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where recordings and runs are put")
    parser.add_argument("--samples", type=int, default=159_000)
    parser.add_argument("--responses", type=int, default=5, help="K, a model and sample")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    folder = arguments.folder / f"{arguments.samples}x{arguments.responses}"
    make(folder, arguments.samples, arguments.responses)
    rows = arguments.samples * len(MODELS) * arguments.responses
    print(f"{arguments.samples:,} samples × {len(MODELS)} × {arguments.responses} = {rows:,} rows")
    seconds = []
    for _ in range(arguments.rounds):
        out = folder / "run"
        shutil.rmtree(out, ignore_errors=True)
        done = measure(score_command(folder, out))
        before = 0.0
        for at, line in done.lines:
            print(f"{at - before:8.1f} s  {line}")
            before = at
        print(f"{done.seconds - before:8.1f} s  account; peak memory {done.peak_mb:,.0f} MiB")
        seconds.append(done.seconds)
    print(f"full_scale: {median(seconds):.1f}")


if __name__ == "__main__":
    main()
