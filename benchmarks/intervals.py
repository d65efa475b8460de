"""Seconds that resampling the panel of a full-scale run takes, reading included.

It uses a run that full_scale.py scored in the same folder.

Run: python benchmarks/intervals.py /tmp/qibox-bench
"""

import argparse
import resource
import time
from pathlib import Path

from qibox.confidence.intervals import ANSWERS, enough, intervals
from qibox.manifests import BoxManifest, load_manifest
from qibox.run.directory import Run
from qibox.selection.confident import edges_of
from qibox.selection.request import by_box


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where full_scale.py put its run")
    parser.add_argument("--samples", type=int, default=159_000)
    parser.add_argument("--responses", type=int, default=5)
    parser.add_argument("--resamples", type=int, default=200)
    arguments = parser.parse_args()
    run = Run.open(arguments.folder / f"{arguments.samples}x{arguments.responses}" / "run")
    started = time.perf_counter()
    edges = edges_of(run, by_box(load_manifest(BoxManifest, "qi-safe-10k")))
    found = intervals(run, edges, arguments.resamples, answers=ANSWERS)
    seconds = time.perf_counter() - started
    print(f"{len(found.rows):,} samples, {arguments.resamples} resamples")
    print(f"K for nine of ten to stay on their side: {enough(found.agreement, 0.9)}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")
    print(f"intervals: {seconds:.1f}")


if __name__ == "__main__":
    main()
