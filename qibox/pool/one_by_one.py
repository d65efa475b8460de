"""Records read one by one (JSON objects, CSV lines) → rows.

Opening an image file costs more than parsing the line that names it, so these go through Python;
tables with embedded images never do.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pyarrow as pa

from qibox.manifests.pool import PoolManifest
from qibox.pool.columns import check_columns, rows_of_table, wanted_columns
from qibox.pool.rows import BATCH_ROWS, Rows, first_reason
from qibox.pool.where import check_where, kind_of


@dataclass(frozen=True)
class Record:
    """One record of a source: its fields, or why it cannot be read."""

    number: int  # position in the source from 0
    fields: dict[str, Any]
    fault: str | None = None


def rows_of_records(
    records: Iterable[Record], manifest: PoolManifest, origin: str
) -> Iterator[Rows]:
    """Yield records as rows, batch by batch.

    A column must occur in at least one record of the first batch; later it may be left out.

    Raises:
        UsageError: a column that the manifest names occurs nowhere in the first batch.
    """
    remaining = iter(records)
    first = True
    while batch := list(islice(remaining, BATCH_ROWS)):
        readable = [record for record in batch if record.fault is None]
        if first and readable:
            present = dict.fromkeys(name for record in readable for name in record.fields)
            check_columns(manifest, list(present), origin)
            _check_where(readable, manifest)
            first = False
        kept = [r for r in batch if r.fault is not None or _matches(r, manifest.where)]
        if kept:
            yield _rows(kept, manifest, origin)


def _check_where(records: list[Record], manifest: PoolManifest) -> None:
    """Refuse a condition that none of the first records can meet, for it is of another type."""
    for name, value in manifest.where.items():
        values = [record.fields.get(name) for record in records]
        kinds = {kind_of(found) for found in values if found is not None}
        if value is not None and len(kinds) == 1:
            check_where(name, value, kinds.pop(), manifest)


def _matches(record: Record, where: dict[str, Any]) -> bool:
    return all(record.fields.get(name) == value for name, value in where.items())


def _rows(records: list[Record], manifest: PoolManifest, origin: str) -> Rows:
    columns = manifest.columns
    strict = {columns.question, columns.image}  # a number is no question and no path
    plain = manifest.model_copy(
        update={"where": {}, "columns": columns.model_copy(update={"meta": ()})}
    )
    texts: dict[str, list[str | None]] = {name: [] for name in wanted_columns(plain)}
    faults: list[str | None] = []
    for record in records:
        fault = record.fault
        for name, values in texts.items():
            text, wrong = _as_text(name, record.fields.get(name), name in strict)
            values.append(text)
            fault = fault or wrong
        faults.append(fault)
    table = pa.table({name: pa.array(values, pa.string()) for name, values in texts.items()})
    if not texts:
        table = pa.table({"": pa.nulls(len(records))})
    rows = rows_of_table(table, 0, plain, origin)
    return replace(
        rows,
        number=pa.array([record.number for record in records], pa.int64()),
        fault=first_reason(pa.array(faults, pa.string()), rows.fault),
        meta={name: _json(name, records) for name in columns.meta},
    )


def _json(name: str, records: list[Record]) -> pa.Array:
    return pa.array([_dumped(record.fields.get(name)) for record in records], pa.string())


def _dumped(value: object) -> str:
    """A value as JSON; half a surrogate pair, which is no text, as the sign for what is unknown."""
    written = json.dumps(value, ensure_ascii=True)
    if "\\ud" not in written:
        return written
    text = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    return json.dumps(json.loads(text.decode("utf-16-le", "replace")), ensure_ascii=True)


def _as_text(name: str, value: object, strict: bool) -> tuple[str | None, str | None]:
    """A field's text and what is wrong with it."""
    if value is None:
        return None, None
    if not isinstance(value, str):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if strict or not number:
            return None, f"{name} is {_kind(value)}, not text"
        return str(value), None
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return None, f"{name} is not UTF-8"
    return value, None


def _kind(value: object) -> str:
    names = {bool: "a truth value", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "an object")
