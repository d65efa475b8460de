"""Rows of a run's pool by their ids, shard by shard: one shard's pictures are in memory at once."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from qibox.run.directory import Run
from qibox.run.layout import pool_path


def chosen_rows(
    run: Run, chosen: pa.Array, columns: list[str] | None = None
) -> Iterator[tuple[int, pa.Table]]:
    """Each shard that has some of the samples, and their rows in the pool's order.

    ``columns`` are those wanted, sample_id among them; None: all.
    """
    index = run.pool_index()
    assert index is not None, "a scored run has an index"
    for shard in range(len(index.keys)):
        path = pool_path(shard, run.pool_home)
        ids = run.storage.read_table(path, columns=["sample_id"])["sample_id"]
        rows = pc.indices_nonzero(pc.is_in(ids, value_set=chosen))
        if len(rows):
            yield shard, run.storage.read_table(path, columns=columns).take(rows)
