"""Seconds that choosing takes over a full-scale run, beyond the start of the process.

Choosing reads the written scores and the strata of the pool, resolves quantile edges, applies the
box and counts the mix; copying the chosen pictures into the shard is shown apart. It uses a run
that full_scale.py scored in the same folder.

Run: python benchmarks/select_scale.py /tmp/qibox-bench
"""

import argparse
import shutil
import time
from pathlib import Path
from statistics import median

from qibox.manifests import BoxManifest, load_manifest
from qibox.run.directory import Run
from qibox.selection.choose import choose
from qibox.selection.request import by_box
from qibox.selection.write import write_selection


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where full_scale.py put its run")
    parser.add_argument("--samples", type=int, default=159_000)
    parser.add_argument("--responses", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    run = Run.open(arguments.folder / f"{arguments.samples}x{arguments.responses}" / "run")
    request = by_box(load_manifest(BoxManifest, "qi-safe-10k"), name="benchmark")
    seconds = []
    for number in range(1, arguments.rounds + 1):
        started = time.perf_counter()
        choice = choose(run, request)
        seconds.append(time.perf_counter() - started)
        print(f"round {number}: {len(choice.chosen):,} of {choice.scored:,} in {seconds[-1]:.2f} s")
    started = time.perf_counter()
    write_selection(run, choice, overwrite=True)
    print(f"copying the chosen pictures: {time.perf_counter() - started:.2f} s")
    shutil.rmtree(run.storage.path(f"selections/{request.name}"))
    print(f"select_scale: {median(seconds):.2f}")


if __name__ == "__main__":
    main()
