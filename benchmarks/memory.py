"""Does memory grow with the pool? Peak memory of `qibox score` at ten times the samples.

Peak resident memory of the largest process, at 1,590,000 samples over that at 159,000, with one
response a model (K = 1) in both, which keeps the recordings small. Ten times the responses of a
sample are not ten times the memory either: a worker holds a slice of a thousand samples.

Run: python benchmarks/memory.py /tmp/qibox-bench
"""

import argparse
import shutil
from pathlib import Path

from inputs import MODELS, make
from measuring import measure, score_command


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where recordings and runs are put")
    parser.add_argument("--samples", type=int, default=159_000, help="of the smaller pool")
    parser.add_argument("--times", type=int, default=10, help="how much larger the other one is")
    parser.add_argument("--responses", type=int, default=1, help="K, a model and sample")
    arguments = parser.parse_args()
    print(f"{'samples':>10} {'rows':>12} {'seconds':>8} {'peak MiB':>9}")
    peaks = []
    for samples in (arguments.samples, arguments.samples * arguments.times):
        folder = arguments.folder / f"{samples}x{arguments.responses}"
        make(folder, samples, arguments.responses)
        out = folder / "run"
        shutil.rmtree(out, ignore_errors=True)
        done = measure(score_command(folder, out))
        rows = samples * len(MODELS) * arguments.responses
        print(f"{samples:10,} {rows:12,} {done.seconds:8.1f} {done.peak_mb:9.0f}", flush=True)
        peaks.append(done.peak_mb)
        shutil.rmtree(out)
    print(f"memory: {peaks[1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
