"""Which rows of a source a manifest takes: those whose columns equal the values of `where`."""

import pyarrow as pa
import pyarrow.compute as pc

from qibox.errors import UsageError
from qibox.manifests.pool import PoolManifest
from qibox.pool.rows import whole


def written_out(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array, with dictionaries written out."""
    values = whole(column)
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def kept_rows(table: pa.Table, manifest: PoolManifest) -> pa.Array | None:
    """Which rows meet the manifest's conditions; None where it has none.

    Raises:
        UsageError: a condition that no value of its column can meet.
    """
    keep = None
    for name, value in manifest.where.items():
        same = _equal(written_out(table[name]), value, name, manifest)
        keep = same if keep is None else pc.and_(keep, same)
    return keep


def _equal(values: pa.Array, value: object, name: str, manifest: PoolManifest) -> pa.Array:
    if value is None or pa.types.is_null(values.type):
        return values.is_null() if value is None else pa.repeat(False, len(values))
    kind = values.type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    found = (
        "a number" if number else "text" if text
        else "a truth value" if pa.types.is_boolean(kind) else str(kind)
    )  # fmt: skip
    check_where(name, value, found, manifest)
    if number:
        values, value = values.cast(pa.float64()), float(str(value))
    return pc.fill_null(pc.equal(values, value), False)


def check_where(name: str, value: object, found: str, manifest: PoolManifest) -> None:
    """Refuse a condition that no value of its column can meet; ``found`` is what they are.

    Raises:
        UsageError: the value of ``where`` is of another kind.
    """
    if found != kind_of(value):
        fix = f"write '{value}' in quotes" if found == "text" else f"give {found}"
        raise UsageError(
            f"pool {manifest.name}: where.{name} is {value!r}, {kind_of(value)}, and column "
            f"'{name}' holds {found}: {fix}"
        )


def kind_of(value: object) -> str:
    """What a value read from YAML or JSON is, in words."""
    names = {bool: "a truth value", int: "a number", float: "a number", str: "text"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")
