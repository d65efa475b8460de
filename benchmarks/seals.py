"""What seals and page checksums cost: size, writing and reading of tables, over the same without.

Three tables as a run has them: pictures of 10 KB, answers of some 60 words, ratings. Each is
written and read in turn with and without, in memory, so that no disk weighs on either; the fastest
of the rounds counts.

Run: python benchmarks/seals.py
"""

import argparse
import io
import random
import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from qibox.run.seal import SealedFile, seal
from qibox.run.storage import PARQUET_OPTIONS

WORDS = [f"word{number}" for number in range(200)]
PLAIN = {**PARQUET_OPTIONS, "write_page_checksum": False}


def tables(rows: int) -> dict[str, pa.Table]:
    """Tables of so many rows; of pictures a fifth of that."""
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(30, 90))) for _ in range(rows)]
    ids = [f"sample-{number // 5:07d}" for number in range(rows)]
    scores = {
        f"criterion_{n}": pa.array(rng.choices(range(1, 11), k=rows), pa.int8()) for n in range(6)
    }
    return {
        "pictures": pa.table({"image": [rng.randbytes(10_000) for _ in range(rows // 5)]}),
        "answers": pa.table({"sample_id": ids, "text": texts}),
        "ratings": pa.table({"sample_id": ids, **scores}),
    }


def write_plain(table: pa.Table) -> io.BytesIO:
    """A Parquet file without checksums."""
    file = io.BytesIO()
    pq.write_table(table, file, **PLAIN)
    return file


def write_sealed(table: pa.Table) -> io.BytesIO:
    """A Parquet file as a run has it."""
    file = io.BytesIO()
    pq.write_table(table, file, **PARQUET_OPTIONS)
    seal(file)
    return file


def read_plain(file: io.BytesIO) -> pa.Table:
    """Read without checking."""
    return pq.ParquetFile(file).read()


def read_sealed(file: io.BytesIO) -> pa.Table:
    """Read as the tool does."""
    sealed = SealedFile(io.BytesIO(file.getbuffer()), ValueError)
    return pq.ParquetFile(sealed, page_checksum_verification=True).read()


def seconds(work: Callable[[], object]) -> float:
    """What it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    print(f"{'table':10} {'bytes':>12} {'larger':>8} {'write ms':>16} {'read ms':>16}")
    sums = dict.fromkeys(("plain", "sealed"), 0.0)
    for name, table in tables(arguments.rows).items():
        plain, sealed = write_plain(table), write_sealed(table)
        assert read_sealed(sealed).equals(table)
        times = [
            [
                seconds(lambda t=table: write_plain(t)),
                seconds(lambda t=table: write_sealed(t)),
                seconds(lambda f=plain: read_plain(f)),
                seconds(lambda f=sealed: read_sealed(f)),
            ]
            for _ in range(arguments.rounds)
        ]
        least = [1000 * min(column) for column in zip(*times, strict=True)]
        sums["plain"] += least[0] + least[2]
        sums["sealed"] += least[1] + least[3]
        size, more = sealed.getbuffer().nbytes, sealed.getbuffer().nbytes - plain.getbuffer().nbytes
        print(
            f"{name:10} {size:12,} {more / (size - more):8.2%} "
            f"{least[0]:7.1f} {least[1]:8.1f} {least[2]:7.1f} {least[3]:8.1f}"
        )
    print(f"seals: {sums['sealed'] / sums['plain']:.3f}")


if __name__ == "__main__":
    main()
