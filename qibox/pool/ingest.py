"""pool → samples: reads a run's pool and writes its shards, its rejects and, last, its index.

Reads what the run's pool manifest names, once, in batches; memory does not grow with the pool.
Writes RUN/pool/shard-NNNNN.parquet, RUN/rejects/shard-NNNNN.parquet and RUN/pool/_index.json.
Every row read ends as a sample, as a reject with a reason, or merged as a duplicate.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qibox.manifests.pool import PoolManifest
from qibox.pool.duplicates import Flags, SeenHashes
from qibox.pool.read import read_pool
from qibox.pool.rows import CheckedRows
from qibox.pool.shards import THREADS, ShardWriter
from qibox.run.directory import PoolIndex, Run
from qibox.run.units import Shard
from qibox.tables import REJECTS

logger = logging.getLogger(__name__)

TWICE = "sample_id '{}' comes twice with different content: give each row its own id"


class Deduplicator:
    """Finds rows whose content, or whose id, came before in a row that was kept."""

    def __init__(self) -> None:
        self._contents = SeenHashes()
        self._ids = SeenHashes()

    def mark(self, rows: CheckedRows) -> tuple[CheckedRows, pa.Array]:
        """Return the rows, with a reason where an id is taken, and which are exact duplicates.

        Row by row: known content is a duplicate, else a known id is refused, else both are
        remembered. Rows that already carry a reason are left out of all this.
        """
        good = np.asarray(rows.reason.is_null())
        if good.all() and self._are_new(rows):
            return rows, pa.repeat(False, len(rows))
        duplicate, taken = self._compare(rows, good)
        kept = good & ~(duplicate | taken)
        self._contents.add(rows.content[kept])
        if rows.names is not None:
            self._ids.add(rows.names[kept])
        if taken.any():
            names = rows.samples["sample_id"].to_pylist()
            said = [TWICE.format(i) if t else None for i, t in zip(names, taken, strict=True)]
            reason = pc.coalesce(rows.reason, pa.array(said, pa.string()))
            rows = replace(rows, reason=reason)
        return rows, pa.array(duplicate)

    def _are_new(self, rows: CheckedRows) -> bool:
        """Remember the rows at once if all are new, as is usual."""
        contents = np.unique(rows.content)
        if len(contents) < len(rows) or self._contents.holds(contents).any():
            return False
        if rows.names is not None:
            names = np.unique(rows.names)
            if len(names) < len(rows) or self._ids.holds(names).any():
                return False
            self._ids.add_new(names)
        self._contents.add_new(contents)
        return True

    def _compare(self, rows: CheckedRows, good: Flags) -> tuple[Flags, Flags]:
        """(duplicate, taken) by row; a batch is compared with all before it, then with itself."""
        names = rows.content if rows.names is None else rows.names
        duplicate, taken = self._contents.holds(rows.content), self._ids.holds(names)
        here: set[bytes] = set()
        ids_here: set[bytes] = set()
        pairs = zip(rows.content.tolist(), names.tolist(), strict=True)
        for at, (content, name) in enumerate(pairs):
            duplicate[at] = good[at] and (duplicate[at] or content in here)
            taken[at] = good[at] and not duplicate[at] and (taken[at] or name in ids_here)
            if good[at] and not duplicate[at] and not taken[at]:
                here.add(content)
                ids_here.add(name)
        return duplicate, taken


def ingest(
    run: Run,
    progress: Callable[[int], None] | None = None,
    stands: Callable[[Shard], None] | None = None,
) -> PoolIndex:
    """Read the run's pool to its end, or to the run's limit, and write it as shards.

    Reading is the same each time, so shards that are already right are left alone; the index is
    written last. ``progress`` is called with the number of rows of each batch done, ``stands`` with
    each shard whose file stands.

    Raises:
        UsageError: the pool is not there, or lacks what its manifest names.
    """
    manifest, limit = run.manifest.pool, run.manifest.limit
    read = rejected = duplicates = 0
    with ThreadPoolExecutor(THREADS) as threads:
        writer = ShardWriter(run.storage, manifest.shard_size, threads, run.home, stands)
        for checked, keep, duplicate in marked_rows(manifest, limit):
            refused = checked.reason.is_valid()
            writer.reject(_rejects(checked).filter(refused))
            writer.add(checked.samples.filter(keep))
            read += len(checked)
            rejected += refused.true_count
            duplicates += duplicate.true_count
            if progress is not None:
                progress(len(checked))
        writer.finish()
    if limit is None and manifest.rows not in (None, read):
        logger.warning("pool %s: %d rows read, %d published", manifest.name, read, manifest.rows)
    index = PoolIndex(
        keys=tuple(writer.keys),
        sizes=tuple(writer.sizes),
        read=read,
        rejected=rejected,
        duplicates=duplicates,
    )
    run.write_pool_index(index)
    return index


def marked_rows(
    pool: PoolManifest, limit: int | None = None
) -> Iterator[tuple[CheckedRows, pa.Array, pa.Array]]:
    """Yield a pool's rows up to its first ``limit`` samples: who is a sample, who a duplicate.

    Writes nothing.

    Raises:
        UsageError: the pool is not there, or lacks what its manifest names.
    """
    seen, kept = Deduplicator(), 0
    for rows in read_pool(pool):
        checked, duplicate = seen.mark(rows)
        keep = pc.and_not(checked.reason.is_null(), duplicate)
        checked, keep, duplicate = _cut(checked, keep, duplicate, limit, kept)
        kept += keep.true_count
        yield checked, keep, duplicate
        if limit is not None and kept >= limit:
            break


def _cut(
    rows: CheckedRows, keep: pa.Array, duplicate: pa.Array, limit: int | None, kept: int
) -> tuple[CheckedRows, pa.Array, pa.Array]:
    """Drop the rows after the one that fills the limit; they count as never read."""
    if limit is None or kept + keep.true_count <= limit:
        return rows, keep, duplicate
    end = int(np.flatnonzero(np.asarray(keep))[limit - kept - 1]) + 1
    return rows.slice(0, end), keep.slice(0, end), duplicate.slice(0, end)


def _rejects(rows: CheckedRows) -> pa.Table:
    columns = [rows.samples["source"], rows.number, rows.samples["sample_id"], rows.reason]
    return pa.table(columns, schema=REJECTS)
