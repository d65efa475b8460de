"""What a source says besides: columns of any type as JSON, put together column by column."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

NULL = "null"


def json_values(values: pa.Array) -> pa.Array:
    """Each value as JSON text; null, NaN and infinity as ``null``.

    Text, numbers and truth values go column by column; anything nested value by value.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        written = _quoted(_as_utf8(values))
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        written = values.cast(pa.string())
    elif pa.types.is_floating(kind):
        finite = pc.if_else(pc.is_finite(values), values, pa.scalar(None, kind))
        written = pa.array([_dumped(v) for v in finite.to_pylist()], pa.string())
    else:
        written = pa.array([_dumped(v) for v in _listed(values)], pa.string())
    return pc.fill_null(written, NULL)


def json_objects(columns: dict[str, pa.Array], length: int) -> pa.Array:
    """One JSON object a row, from columns of JSON values; names keep their order."""
    if not columns:
        return pa.array(["{}"] * length, pa.string())
    pieces: list[Any] = []
    for at, (name, values) in enumerate(columns.items()):
        pieces += [("{" if at == 0 else ",") + json.dumps(name, ensure_ascii=False) + ":", values]
    return pc.binary_join_element_wise(*pieces, "}", "")


def constant(text: str | None, length: int) -> pa.Array:
    """The same JSON value in every row."""
    return pa.array([json.dumps(text, ensure_ascii=False)] * length, pa.string())


def _as_utf8(texts: pa.Array) -> pa.Array:
    """Texts whose bytes are no UTF-8 with the sign for what is unknown in their place."""
    try:
        texts.validate(full=True)
        return texts.cast(pa.string())
    except pa.ArrowInvalid:
        raw = texts.cast(pa.large_binary()).to_pylist()
    return pa.array([None if r is None else r.decode("utf-8", "replace") for r in raw], pa.string())


def _listed(values: pa.Array) -> list[Any]:
    """Nested values; one that holds a text which is no UTF-8 is null."""
    try:
        return list(values.to_pylist())
    except UnicodeDecodeError:
        return [_value(each) for each in values]


def _value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return None


def _quoted(texts: pa.Array) -> pa.Array:
    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
    quoted = pc.binary_join_element_wise('"', escaped, '"', "")
    control = pc.match_substring_regex(texts, r"[\x00-\x1f]")
    if not pc.any(control).as_py():
        return quoted
    return pa.array([_dumped(text) for text in texts.to_pylist()], pa.string())


def _dumped(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
