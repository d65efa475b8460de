"""The two forms in which rows travel: as their source tells them, and as checked samples.

Readers make :class:`Rows` out of whatever is published; :mod:`qibox.pool.check` makes
:class:`CheckedRows` out of those. Rows are never dropped on the way: a bad one carries its reason.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qibox.pool.duplicates import Hashes

BATCH_ROWS = 1000  # rows read at once; fewer where a source's rows are large
BATCH_BYTES = 32 << 20  # bytes read at once, about


@dataclass(frozen=True)
class Rows:
    """Rows as their source tells them; all arrays are of one length, None where there is none."""

    number: pa.Array  # int64, position in the source from 0
    fault: pa.Array  # string: why the row cannot be read, else null
    question: pa.Array  # string
    image: pa.Array | None = None  # qibox.tables.IMAGE; a path without bytes is yet to be read
    sample_id: pa.Array | None = None  # string
    category: pa.Array | None = None  # string, as published
    severity: pa.Array | None = None  # int32
    risk: pa.Array | None = None  # string, one of qibox.tables.RISKS
    meta: dict[str, pa.Array] = field(default_factory=dict)  # strings: JSON values by name

    def __len__(self) -> int:
        return len(self.number)

    def slice(self, start: int, length: int) -> "Rows":
        """Some consecutive rows, without copying."""
        return replace(
            self,
            meta={name: values.slice(start, length) for name, values in self.meta.items()},
            **{
                name: getattr(self, name).slice(start, length)
                for name in (*_NEEDED, *_OPTIONAL)
                if getattr(self, name) is not None
            },
        )


_NEEDED = ("number", "fault", "question")
_OPTIONAL = ("image", "sample_id", "category", "severity", "risk")


@dataclass(frozen=True)
class CheckedRows:
    """Rows in the pool's form, with the reason why some cannot be samples."""

    samples: pa.Table  # qibox.tables.POOL; a refused row holds what could be read of it
    content: Hashes  # (n,) of question and image
    names: Hashes | None  # (n,) of the samples' ids; None where the content is the id
    number: pa.Array  # int64, position in the source from 0
    reason: pa.Array  # string: why the row is refused, else null

    def __len__(self) -> int:
        return len(self.number)

    def slice(self, start: int, length: int) -> "CheckedRows":
        """Some consecutive rows, without copying."""
        return CheckedRows(
            self.samples.slice(start, length),
            self.content[start : start + length],
            None if self.names is None else self.names[start : start + length],
            self.number.slice(start, length),
            self.reason.slice(start, length),
        )


def ahead(items: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same items; while one is used, a thread reads the next."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(next, items, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, items, None)
            yield item


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A table's column as one array; copied only where it lies in several pieces."""
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)


def no_reasons(length: int) -> pa.Array:
    """A column in which nothing is wrong."""
    return pa.nulls(length, pa.string())


def numbers(start: int, length: int) -> pa.Array:
    """Consecutive row numbers."""
    return pa.array(np.arange(start, start + length))


def said_where(wrong: pa.Array, reason: str | pa.Array) -> pa.Array:
    """A reason in each row where something is wrong, null elsewhere (and where ``wrong`` is)."""
    return pc.if_else(wrong, reason, pa.scalar(None, pa.string()))


def first_reason(*columns: pa.Array) -> pa.Array:
    """Row by row, the first reason that is not null."""
    return pc.coalesce(*columns)
