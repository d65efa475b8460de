"""Read the tables of one shard side by side, a slice of samples at a time.

A shard holds the same samples in the same order in every table, each table with a fixed number of
rows a sample. So equal positions belong together: nothing is joined, and memory holds one slice,
not a shard.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qibox.run.editions import edition_of, joint_edition
from qibox.run.mending import telling_damage
from qibox.run.seal import Fault
from qibox.run.storage import Storage
from qibox.run.units import Unit

SLICE_SAMPLES = 1000  # samples in memory at once


@dataclass(frozen=True)
class Source:
    """A table of a shard: its file, the columns wanted and its rows a sample."""

    path: str
    columns: Sequence[str]
    per_sample: int = 1
    optional: bool = False  # left out where there is no such file


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


class Slices:
    """The tables of a shard side by side: iterate, once, over one table for each source there."""

    def __init__(
        self,
        readers: Sequence[Rows],
        sources: Sequence[Source],
        editions: Mapping[str, str | None],
        *,
        samples: int,
        total: int | None,
    ) -> None:
        self._readers = readers
        self._sources = sources
        self._editions = editions  # of the sources' files, by path
        self._samples = samples
        self._left = total

    @property
    def there(self) -> Set[str]:
        """The files of the sources that are read; an optional one may not be among them."""
        return self._editions.keys()

    def inputs_edition(self, unit: Unit) -> str | None:
        """The joint edition of the files that a unit is made of, all of them sources here."""
        return joint_edition([self._editions[name] for name in unit.inputs])

    def __iter__(self) -> Iterator[list[pa.Table]]:
        """Slice by slice."""
        while self._left is None or self._left > 0:
            tables = self._next()
            if not (found := len(tables[0]) // self._sources[0].per_sample):
                return
            yield tables
            self._left = None if self._left is None else self._left - found

    def _next(self) -> list[pa.Table]:
        """The next slice of each source, with the same samples."""
        wanted = self._samples if self._left is None else min(self._samples, self._left)
        sources, readers = self._sources, self._readers
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
        return tables


@contextmanager
def slices(
    storage: Storage,
    sources: Sequence[Source],
    total: int | None = None,
    samples: int = SLICE_SAMPLES,
) -> Iterator[Slices]:
    """Open tables of one shard, to be read slice by slice.

    All sources must have the first one's samples in the first one's order; this is checked. Ends
    after ``total`` samples where that is given, though a source has more.

    Raises:
        FileNotFoundError: there is no such file of a source that is not optional.
    """
    with ExitStack() as stack:
        there, readers, editions = [], [], {}
        for source in sources:
            try:
                rows, editions[source.path] = _open(stack, storage, source, samples)
            except FileNotFoundError:
                if source.optional:
                    continue
                raise
            there.append(source)
            readers.append(rows)
        yield Slices(readers, there, editions, samples=samples, total=total)


def _open(
    stack: ExitStack, storage: Storage, source: Source, samples: int
) -> tuple[Rows, str | None]:
    """A table's rows, and the edition of its file."""
    held = storage.held(source.path, source.columns)
    if held is not None:
        return HeldRows(held), None  # as it was first written
    parquet = stack.enter_context(storage.parquet(source.path))
    rows = samples * source.per_sample
    fault = storage.fault(source.path)
    return RowReader(parquet, source.columns, rows, fault), edition_of(parquet)


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
