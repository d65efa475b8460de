"""What pictures look like, kept in the run: it is read from the pictures once.

Writes RUN/likeness/shard-NNNNN.parquet, one a shard of the pool, under a key of its own: sample_id,
the digest of the picture's bytes, its signature (:mod:`qibox.likeness.signature`).
"""

from collections.abc import Callable
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from qibox.likeness.signature import SIZE, as_column, digests, signatures
from qibox.run.directory import Run
from qibox.run.layout import pool_path
from qibox.run.units import digest

FORMAT = 1  # raised when signatures come to be made otherwise
ROWS = 200  # pictures in memory at once

LIKENESS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("picture", pa.binary(16)),  # XXH3-128 of its bytes; null without one
        ("signature", pa.binary(SIZE)),  # null where there is none that can be decoded
    ]
)

Told = Callable[[int], None]  # the number of samples done since the last call


def likeness_path(shard: int) -> str:
    """The file of a pool shard's signatures."""
    return f"likeness/shard-{shard:05d}.parquet"


def pool_likeness(run: Run, *, keep: bool = True, told: Told | None = None) -> pa.Table:
    """A row of :data:`LIKENESS` for each sample of the pool; made where it is not kept yet.

    ``keep`` writes what is made. Memory: about 500 bytes a sample.
    """
    index = run.pool_index()
    assert index is not None, "a scored run has an index"
    tables = []
    for shard, key in enumerate(index.keys):
        name, wanted = likeness_path(shard), digest({"format": FORMAT, "shard": key})
        if run.storage.table_key(name) == wanted:
            tables.append(run.storage.read_table(name))
        else:
            tables.append(_shard_likeness(run, shard, told))
            if keep:
                run.storage.write_table(name, tables[-1], wanted)
    return pa.concat_tables(tables) if tables else LIKENESS.empty_table()


def missing(run: Run) -> int:
    """Samples whose signatures are not kept yet."""
    index = run.pool_index()
    assert index is not None, "a scored run has an index"
    there = {PurePosixPath(name).name for name in run.storage.files("likeness")}
    sizes = enumerate(index.sizes)
    return sum(size for n, size in sizes if PurePosixPath(likeness_path(n)).name not in there)


def _shard_likeness(run: Run, shard: int, told: Told | None) -> pa.Table:
    parts = []
    with run.storage.parquet(pool_path(shard)) as file:
        for batch in file.iter_batches(ROWS, columns=["sample_id", "image"]):
            parts.append(_likeness(batch["sample_id"], batch["image"]))
            if told is not None:
                told(len(batch))
    return pa.concat_tables(parts) if parts else LIKENESS.empty_table()


def _likeness(sample_ids: pa.Array, images: pa.Array) -> pa.Table:
    content = pc.struct_field(images, "bytes")
    columns = [sample_ids, digests(content), as_column(*signatures(content))]
    return pa.table(columns, schema=LIKENESS)
