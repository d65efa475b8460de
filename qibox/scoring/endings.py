"""How responses ended: counted as they are written, and told by their file's footer.

A footer's statistics tell how many values of a column are null, and the file notes how many
responses the length limit cut off. Files of before that was noted are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qibox.run.storage import Storage, TableWriter


class Counts(NamedTuple):
    """Rows of a file's responses; see :class:`qibox.scoring.shares.ModelShare`."""

    rows: int
    reasoned: int
    cut_off: int
    refused: int


LOOKED_AT = ("finish_reason", "text", "reasoning")
CUT_OFF = b"qibox.cut_off"  # in a file's metadata


class _Counting:
    """Writes responses, and counts those that were cut off."""

    def __init__(self, writer: TableWriter) -> None:
        self._writer = writer
        self.cut_off = 0

    def write_table(self, table: pa.Table, row_group_size: int | None = None) -> None:
        """Write and count some."""
        self._writer.write_table(table, row_group_size)
        self.cut_off += _cut_off(table["finish_reason"])

    def add_key_value_metadata(self, notes: Mapping[str | bytes, str | bytes]) -> None:
        """Note what else there is to note."""
        self._writer.add_key_value_metadata(notes)


@contextmanager
def counting_writer(
    storage: Storage,
    name: str,
    schema: pa.Schema,
    key: str,
    *,
    edition: str | None = None,
    made_of: str | None = None,
) -> Iterator[TableWriter]:
    """As :meth:`Storage.table_writer`, for a unit's file; responses' note how they ended."""
    with storage.table_writer(name, schema, key, edition=edition, made_of=made_of) as writer:
        if not set(LOOKED_AT) <= set(schema.names):
            yield writer
            return
        counting = _Counting(writer)
        yield counting
        writer.add_key_value_metadata({CUT_OFF: str(counting.cut_off)})


def counts_of(responses: pa.Table) -> Counts | None:
    """Count responses in memory; None for any other table."""
    if not set(LOOKED_AT) <= set(responses.column_names):
        return None
    present = [len(responses) - responses[column].null_count for column in LOOKED_AT]
    return _told(len(responses), present, _cut_off(responses["finish_reason"]))


def counts_told(parquet: pq.ParquetFile) -> Counts | None:
    """What a file's footer tells of its responses; None if they are none, or it does not."""
    noted = (parquet.metadata.metadata or {}).get(CUT_OFF)
    return None if noted is None else _counts(parquet, int(noted))


def counts_read(storage: Storage, name: str) -> Counts:
    """Count a file of responses of before the footer told, reading one column."""
    with storage.parquet(name) as parquet:
        return _counts(parquet, _cut_off(parquet.read(["finish_reason"])["finish_reason"]))


def present_values(parquet: pq.ParquetFile, name: str) -> int:
    """How many values of a column are not null, by its statistics; 0 if there is no such column."""
    if name not in parquet.schema_arrow.names:
        return 0
    metadata = parquet.metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    if not groups:
        return 0
    column = next(
        i for i in range(groups[0].num_columns) if groups[0].column(i).path_in_schema == name
    )
    statistics = [group.column(column).statistics for group in groups]
    if any(s is None or not s.has_null_count for s in statistics):
        return len(parquet.read([name])[name].drop_null())
    return sum(g.num_rows - s.null_count for g, s in zip(groups, statistics, strict=True))


def _counts(parquet: pq.ParquetFile, cut_off: int) -> Counts:
    present = [present_values(parquet, column) for column in LOOKED_AT]
    return _told(parquet.metadata.num_rows, present, cut_off)


def _told(rows: int, present: Sequence[int], cut_off: int) -> Counts:
    ended, text, reasoning = present
    thoughts = ended - text  # thoughts alone ended in some way, and are no response
    return Counts(rows, max(0, reasoning - thoughts), cut_off, refused=rows - ended)


def _cut_off(finish_reason: pa.ChunkedArray) -> int:
    return int(pc.sum(pc.equal(finish_reason, "length")).as_py() or 0)
