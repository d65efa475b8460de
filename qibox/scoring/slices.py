"""Read the tables of one shard side by side, a slice of samples at a time.

A shard holds the same samples in the same order in every table, each table with a fixed number of
rows a sample. So equal positions belong together: nothing is joined, and memory holds one slice,
not a shard.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qibox.run.mending import telling_damage
from qibox.run.seal import Fault
from qibox.run.storage import Storage

SLICE_SAMPLES = 1000  # samples in memory at once


@dataclass(frozen=True)
class Source:
    """A table of a shard: its file, the columns wanted and its rows a sample."""

    path: str
    columns: Sequence[str]
    per_sample: int = 1


class Rows(Protocol):
    """Gives the rows of a table in order."""

    def take(self, rows: int) -> pa.Table:
        """The next rows: exactly so many, or fewer at the end."""
        ...


class HeldRows:
    """Takes rows from a table in memory."""

    def __init__(self, table: pa.Table) -> None:
        self._rest = table

    def take(self, rows: int) -> pa.Table:
        """The next rows: exactly so many, or fewer at the end of the table."""
        table, self._rest = self._rest.slice(0, rows), self._rest.slice(rows)
        return table


class RowReader:
    """Takes rows from a Parquet file, as many at a time as are asked for."""

    def __init__(
        self, parquet: pq.ParquetFile, columns: Sequence[str], rows: int, fault: Fault
    ) -> None:
        self._fault = fault  # what a damaged file is told with
        self._batches = _batches(parquet, list(columns), rows)
        self._held: list[pa.RecordBatch] = []
        self._columns = list(columns)
        fields = parquet.schema_arrow
        self._schema = pa.schema([fields.field(name) for name in self._columns])

    def take(self, rows: int) -> pa.Table:
        """The next rows: exactly so many, or fewer at the end of the file."""
        have = sum(len(batch) for batch in self._held)
        while have < rows and (batch := self._next()) is not None:
            self._held.append(batch.select(self._columns))
            have += len(batch)
        table = pa.Table.from_batches(self._held, schema=self._schema)
        rest = table.slice(rows)
        self._held = rest.to_batches() if len(rest) else []
        return table.slice(0, rows)

    def _next(self) -> pa.RecordBatch | None:
        with telling_damage(self._fault):
            return next(self._batches, None)


def _batches(parquet: pq.ParquetFile, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    """The rows in order, never many more than ``rows`` of them in memory.

    Shards are worked on side by side already: a thread a column would only cost switching.
    """
    metadata = parquet.metadata
    groups = range(metadata.num_row_groups)
    if any(metadata.row_group(group).num_rows > rows for group in groups):
        yield from parquet.iter_batches(rows, columns=columns)
        return
    for group in groups:  # a fifth faster, and how slices are written
        yield from parquet.read_row_group(group, columns=columns).to_batches()


@contextmanager
def slices(
    storage: Storage,
    sources: Sequence[Source],
    total: int | None = None,
    samples: int = SLICE_SAMPLES,
) -> Iterator[Iterator[list[pa.Table]]]:
    """Open tables of one shard; gives, slice by slice, one table for each source.

    All sources must have the first one's samples in the first one's order; this is checked. Ends
    after ``total`` samples where that is given, though a source has more.
    """
    with ExitStack() as stack:
        readers = [_open(stack, storage, source, samples) for source in sources]
        yield _slices(readers, sources, samples, total)


def _open(stack: ExitStack, storage: Storage, source: Source, samples: int) -> Rows:
    held = storage.held(source.path, source.columns)
    if held is not None:
        return HeldRows(held)
    parquet = stack.enter_context(storage.parquet(source.path))
    rows = samples * source.per_sample
    return RowReader(parquet, source.columns, rows, storage.fault(source.path))


def _slices(
    readers: Sequence[Rows], sources: Sequence[Source], samples: int, total: int | None
) -> Iterator[list[pa.Table]]:
    left = total
    while left is None or left > 0:
        wanted = samples if left is None else min(samples, left)
        tables = [
            reader.take(wanted * source.per_sample)
            for reader, source in zip(readers, sources, strict=True)
        ]
        ids = unique_ids(tables[0], sources[0])
        for table, source, reader in zip(tables[1:], sources[1:], readers[1:], strict=True):
            if isinstance(reader, HeldRows):  # made a moment ago of these samples, and checked then
                assert len(table) == len(ids) * source.per_sample, source.path
                continue
            found = unique_ids(table, source)
            assert found.equals(ids), f"{source.path} is not aligned with {sources[0].path}"
        if len(ids) == 0:
            return
        yield tables
        left = None if left is None else left - len(ids)


def unique_ids(table: pa.Table, source: Source) -> pa.Array:
    """The ids of a slice's samples, each once, checking that each has the rows it should."""
    ids = one_chunk(table["sample_id"])
    each = source.per_sample
    if each == 1:
        return ids
    assert len(ids) % each == 0, f"{source.path} has an incomplete sample"
    first = ids.take(pa.array(range(0, len(ids), each), pa.int64()))
    assert repeat(first, each).equals(ids), f"{source.path} has a sample without its {each} rows"
    return first


def repeat(values: pa.Array, times: int) -> pa.Array:
    """Each value ``times`` times, in place."""
    return values.take(pa.array(np.repeat(np.arange(len(values)), times)))


def one_chunk(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
