"""Seconds that comparing a pool with benchmarks takes, signatures apart, and their rate.

Signatures are those of smooth random pictures, questions random words; every thousandth sample is
a copy of a benchmark's with a little noise, and is to be found. The rate is that of decoding and
shrinking the miniature world's pictures.

Run: python benchmarks/likeness.py
"""

import argparse
import resource
import time

import numpy as np
import pyarrow as pa
from inputs import WORDS

from qibox.likeness.near import Looks, near_pairs, plain
from qibox.likeness.signature import CROPS, SIDE, SIZE, signatures
from qibox.mini.pool import iter_samples

COPIED = 1000  # every so many samples


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=159_000)
    parser.add_argument("--benchmark", type=int, default=10_000)
    arguments = parser.parse_args()
    pictures = [sample["image"]["bytes"] for sample in iter_samples("train", 500)]
    started = time.perf_counter()
    signatures(pa.array(pictures, pa.binary()))
    print(f"signatures: {len(pictures) / (time.perf_counter() - started):,.0f} a second")
    rng = np.random.default_rng(0)
    held = looks(rng, arguments.benchmark, len(CROPS))
    pool = looks(rng, arguments.samples, 1)
    copies = np.arange(0, arguments.samples, COPIED)
    source = copies % arguments.benchmark
    noise = rng.normal(0, 3, (len(copies), SIZE))
    copied = np.clip(held.signatures[source, 0] + noise, 0, 255)
    pool.signatures[copies, 0] = copied.astype(np.uint8)
    for at, of in zip(copies.tolist(), source.tolist(), strict=True):
        pool.questions[at] = held.questions[of]  # type: ignore[index]  # a list
    started = time.perf_counter()
    found = {int(i) for near in near_pairs(pool, held) for i in near.left[near.both]}
    seconds = time.perf_counter() - started
    print(f"{len(found):,} found of {len(copies):,} copies")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")
    print(f"likeness: {seconds:.1f}")


def looks(rng: np.random.Generator, count: int, crops: int) -> Looks:
    """Smooth random pictures; a crop is the picture with a little noise."""
    coarse = rng.normal(128, 55, (count, 4, 4, 3)).astype(np.float32)
    fine = np.repeat(np.repeat(coarse, SIDE // 4, axis=1), SIDE // 4, axis=2)
    fine = fine.reshape(count, 1, SIZE) + rng.normal(0, 10, (count, crops, SIZE)).astype(np.float32)
    words = WORDS[rng.integers(len(WORDS), size=(count, 10))]
    questions = [plain(" ".join(row)) for row in words.tolist()]
    seen = np.ones(count, np.bool_)
    return Looks(questions, np.clip(fine, 0, 255).astype(np.uint8), seen, ~seen)


if __name__ == "__main__":
    main()
