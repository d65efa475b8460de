"""Arrow tables as published → rows: finds the manifest's columns and checks their types.

A column that is missing or of a wrong type is the manifest's or the file's mistake: one sentence,
and nothing is read. A single value that does not hold is its row's fault.
"""

import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from qibox.errors import UsageError
from qibox.manifests.pool import PoolManifest
from qibox.pool.meta import json_values
from qibox.pool.rows import Rows, first_reason, no_reasons, numbers, said_where
from qibox.pool.where import kept_rows, written_out
from qibox.tables import IMAGE, RISKS

TEMPLATE = re.compile(r"\{([^{}]*)\}")
WHOLE = r"^\s*[-+]?[0-9]{1,9}(\.0*)?\s*$"
Converted = tuple[pa.Array, pa.Array]  # values, faults


def wanted_columns(manifest: PoolManifest) -> list[str]:
    """Names of the source's columns that the manifest uses, each once."""
    columns = manifest.columns
    names = [columns.sample_id, columns.question, columns.category, columns.severity, columns.risk]
    if columns.image is not None:
        names += TEMPLATE.findall(columns.image) or [columns.image]
    names += [*columns.meta, *manifest.where]
    return list(dict.fromkeys(name for name in names if name is not None))


def check_columns(manifest: PoolManifest, present: list[str], origin: str) -> None:
    """Refuse a source that lacks a column the manifest names.

    Raises:
        UsageError: which columns it lacks, which it has, and where to say so.
    """
    missing = [name for name in wanted_columns(manifest) if name not in present]
    if missing:
        raise UsageError(
            f"pool {manifest.name}: {origin} has no column {_listed(missing)}; it has "
            f"{_listed(present)}: name the right one under `columns` of a manifest, or, for a file "
            "without one, beside the file",
            fields=[f"columns.{place}" for place in _places(manifest, missing)],
        )
    twice = [name for name in wanted_columns(manifest) if present.count(name) > 1]
    if twice:
        raise UsageError(
            f"pool {manifest.name}: {origin} has two columns {_listed(twice[:1])}: rename one"
        )


def _places(manifest: PoolManifest, names: list[str]) -> list[str]:
    """Which of the manifest's columns these names stand for."""
    given = manifest.columns.model_dump(exclude={"meta"}, exclude_none=True)
    return [place for place, text in given.items() if {text, *TEMPLATE.findall(text)} & {*names}]


def rows_of_table(table: pa.Table, start: int, manifest: PoolManifest, origin: str) -> Rows:
    """Turn a published table into rows; ``start`` is the number of its first row.

    Raises:
        UsageError: a column is missing or of a type that cannot hold what it should.
    """
    check_columns(manifest, table.column_names, origin)
    keep = kept_rows(table, manifest)
    number = numbers(start, table.num_rows)
    if keep is not None:
        table, number = table.filter(keep), number.filter(keep)
    convert = _Converter(table, manifest, origin)
    columns = manifest.columns
    question = convert.question()
    image = convert.image()
    own_id = convert.optional("sample_id", columns.sample_id, _text_or_number)
    category = convert.optional("category", columns.category, _label)
    severity = convert.optional("severity", columns.severity, _whole_number)
    risk = convert.optional("risk", columns.risk, _risk)
    told = (question, image, own_id, category, severity, risk)
    return Rows(
        number=number,
        fault=first_reason(*(pair[1] for pair in told if pair is not None)),
        question=question[0],
        image=image and image[0],
        sample_id=own_id and own_id[0],
        category=category and category[0],
        severity=severity and severity[0],
        risk=risk and risk[0],
        meta={name: json_values(written_out(table[name])) for name in columns.meta},
    )


class _Converter:
    """One table's columns, converted by the role they play."""

    def __init__(self, table: pa.Table, manifest: PoolManifest, origin: str) -> None:
        self.table, self.manifest, self.origin = table, manifest, origin

    def optional(
        self, role: str, name: str | None, convert: Callable[[pa.Array], Converted | None]
    ) -> Converted | None:
        if name is None:
            return None
        values = written_out(self.table[name])
        converted = convert(values)
        if converted is None:
            raise self.wrong_type(role, name, values.type)
        return converted

    def wrong_type(self, role: str, name: str, kind: pa.DataType) -> UsageError:
        return UsageError(
            f"pool {self.manifest.name}: column '{name}' of {self.origin} is {kind}, which cannot "
            f"be read as {role.replace('_', ' ')}: name another column under `columns.{role}`"
        )

    def question(self) -> Converted:
        if self.manifest.question_text is not None:
            length = self.table.num_rows
            return pa.repeat(self.manifest.question_text, length), no_reasons(length)
        converted = self.optional("question", self.manifest.columns.question, _text)
        assert converted is not None
        return converted

    def image(self) -> Converted | None:
        name = self.manifest.columns.image
        if name is None:
            return None
        if TEMPLATE.search(name):
            return _pathed(self._filled(name)), no_reasons(self.table.num_rows)
        return self.optional("image", name, _image)

    def _filled(self, template: str) -> pa.Array:
        pieces = TEMPLATE.split(template)  # text, column, text, column, …, text
        parts = [
            written_out(self.table[piece]).cast(pa.string()) if at % 2 else piece
            for at, piece in enumerate(pieces)
        ]
        return pc.binary_join_element_wise(*parts, "")


def _text(values: pa.Array) -> Converted | None:
    """Text as UTF-8; where it is not, null with the fault."""
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(pa.string()), no_reasons(len(values))
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (text or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        return None
    try:
        values.validate(full=True)
        return values.cast(pa.string()), no_reasons(len(values))
    except pa.ArrowInvalid:
        raw = values.cast(pa.binary()).to_pylist()
    good = [None if value is None else _decoded(value) for value in raw]
    bad = [g is None and r is not None for g, r in zip(good, raw, strict=True)]
    return pa.array(good, pa.string()), said_where(pa.array(bad), "text is not UTF-8")


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _text_or_number(values: pa.Array) -> Converted | None:
    if pa.types.is_integer(values.type):
        return values.cast(pa.string()), no_reasons(len(values))
    return _text(values)


def _label(values: pa.Array) -> Converted | None:
    converted = _text_or_number(values)
    return converted and (_unless_empty(converted[0]), converted[1])


def _unless_empty(text: pa.Array) -> pa.Array:
    empty = pc.equal(pc.utf8_trim_whitespace(text), "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), text)


def _whole_number(values: pa.Array) -> Converted | None:
    converted = _text_or_number(values)
    if converted is None and pa.types.is_floating(values.type):
        converted = values.cast(pa.string()), no_reasons(len(values))
    if converted is None:
        return None
    text, faults = converted
    text = _unless_empty(text)
    digital = pc.match_substring_regex(text, WHOLE)
    reason = pc.binary_join_element_wise("severity '", text, "' is not a whole number", "")
    wrong = said_where(pc.invert(digital), reason)
    digits = pc.if_else(digital, pc.utf8_trim_whitespace(text), pa.scalar(None, pa.string()))
    number = digits.cast(pa.float64()).cast(pa.int32())
    return number, first_reason(faults, wrong)


def _risk(values: pa.Array) -> Converted | None:
    converted = _text(values)
    if converted is None:
        return None
    text, faults = converted
    text = _unless_empty(text)
    known = pc.is_in(text, pa.array(RISKS))
    reason = pc.binary_join_element_wise("risk '", text, f"' is none of {', '.join(RISKS)}", "")
    wrong = said_where(pc.and_(pc.invert(known), text.is_valid()), reason)
    return pc.if_else(known, text, pa.scalar(None, pa.string())), first_reason(faults, wrong)


def _image(values: pa.Array) -> Converted | None:
    kind = values.type
    fine = no_reasons(len(values))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _single(values)
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        data = pc.struct_field(values, "bytes")
        has_path = kind.get_field_index("path") >= 0
        path = pc.struct_field(values, "path") if has_path else pa.nulls(len(values), pa.string())
        return _struct(data, path), fine
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _struct(values, pa.nulls(len(values), pa.string())), fine
    if pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _pathed(values.cast(pa.string())), fine
    return None


def _single(values: pa.Array) -> Converted | None:
    """The only image of each list; more than one is a fault."""
    count = pc.fill_null(pc.list_value_length(values), 0)
    written = count.cast(pa.string())
    reason = pc.binary_join_element_wise("row has ", written, " images, one is needed", "")
    many = said_where(pc.greater(count, 1), reason)
    starts = pc.if_else(pc.equal(count, 0), pa.scalar(None, pa.int64()), _starts(values))
    inner = _image(values.values.take(starts))
    return None if inner is None else (inner[0], first_reason(many, inner[1]))


def _starts(values: pa.Array) -> pa.Array:
    return values.offsets.slice(0, len(values)).cast(pa.int64())


def _pathed(paths: pa.Array) -> pa.Array:
    return _struct(pa.nulls(len(paths), pa.binary()), _unless_empty(paths))


def _shareable(data: pa.Array, path: pa.Array) -> pa.Array:
    """Paths of embedded images without the folders of the machine that made the file."""
    whole_path = pc.match_substring_regex(path, r"^([/\\~]|[A-Za-z]:)")
    local = pc.and_(whole_path, data.is_valid())
    if not pc.any(local).as_py():
        return path
    return pc.if_else(local, pc.replace_substring_regex(path, r"^.*[/\\]", ""), path)


def _struct(data: pa.Array, path: pa.Array) -> pa.Array:
    parts = [data.cast(pa.binary()), _shareable(data, path.cast(pa.string()))]
    nothing = pc.and_(parts[0].is_null(), parts[1].is_null())
    return pa.StructArray.from_arrays(parts, fields=list(IMAGE), mask=nothing)


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:20]) + (", …" if len(names) > 20 else "")
