"""What the pipeline costs beside the engine and the judge: `qibox score` over loops of pyarrow.

All sides play the same recorded responses and the hash judge, and write the same tables; they take
turns, and a ratio is that of the medians. Each side's start-up, which is what it takes on 20
samples, is taken off it and told apart. The bare loop (bare.py) does a stage after the other, as
qibox does; the lean one (lean.py) does a shard's three stages in memory, on one thread and on two.

Run: python benchmarks/overhead.py /tmp/qibox-bench --samples 20000
"""

import argparse
import os
import shutil
import sys
from pathlib import Path
from statistics import median

from inputs import MODELS, make
from measuring import measure, score_command

FEW = 20  # samples of a run that is nearly all start-up
LOOPS = {
    "bare": ["bare.py"],
    "lean_one_thread": ["lean.py", "--threads", "1"],
    "lean_two_threads": ["lean.py", "--threads", "2"],
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where recordings and runs are put")
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--responses", type=int, default=5, help="K, a model and sample")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    folders = {}
    for samples in (FEW, arguments.samples):
        folders[samples] = arguments.folder / f"{samples}x{arguments.responses}"
        make(folders[samples], samples, arguments.responses)
    rows = arguments.samples * len(MODELS) * arguments.responses
    print(f"{arguments.samples:,} samples × {len(MODELS)} × {arguments.responses} = {rows:,} rows")
    taken: dict[tuple[str, int], list[float]] = {}
    for number in range(1, arguments.rounds + 1):
        for samples, folder in folders.items():
            for side in ("qibox", *LOOPS):
                taken.setdefault((side, samples), []).append(seconds(side, folder))
        told = ", ".join(f"{side} {all_[-1]:.1f}" for (side, _), all_ in taken.items())
        print(f"round {number}, with {FEW} samples and with all: {told} s", flush=True)
    starts = {side: median(taken[side, FEW]) for side in ("qibox", *LOOPS)}
    works = {side: median(taken[side, arguments.samples]) - starts[side] for side in starts}
    for side in starts:
        print(f"{side:>17}: {works[side]:6.2f} s of work, {starts[side]:.2f} s of start-up")
    print(f"startup: {starts['qibox']:.2f}")
    for side in LOOPS:
        print(f"overhead_{side}: {works['qibox'] / works[side]:.3f}")


def seconds(side: str, folder: Path) -> float:
    """Seconds that one side takes from its start to its end; the loops use qibox's pool shards.

    The loops wait for no disk: what the side before has left to write would fall into this one.
    """
    run = folder / "run"
    out = run if side == "qibox" else folder / side
    shutil.rmtree(out, ignore_errors=True)
    os.sync()
    if side == "qibox":
        return measure(score_command(folder, out)).seconds
    script, *more = LOOPS[side]
    path = str(Path(__file__).with_name(script))
    return measure(
        [sys.executable, path, str(folder / "panel.yaml"), str(run), str(out), *more]
    ).seconds


if __name__ == "__main__":
    main()
