from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.mending import inputs_edition
from qibox.scoring.slices import Source, repeat, slices


def write(storage: Storage, name: str, ids: list[str], row_group: int = 3) -> None:
    table = pa.table({"sample_id": ids, "n": list(range(len(ids)))})
    with storage.table_writer(name, table.schema) as writer:
        for start in range(0, len(table), row_group):
            writer.write_table(table.slice(start, row_group))


def test_tables_are_cut_at_the_same_samples_whatever_their_row_groups(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    write(storage, "one", list("abcde"), row_group=2)
    write(storage, "two", list("aabbccddee"), row_group=3)
    sources = [Source("one", ["sample_id"]), Source("two", ["sample_id", "n"], 2)]
    with slices(storage, sources, samples=2) as parts:
        found = [[table.to_pydict() for table in tables] for tables in parts]
    assert [one["sample_id"] for one, _ in found] == [["a", "b"], ["c", "d"], ["e"]]
    assert [two["n"] for _, two in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    write(storage, "one", ["a"])
    with slices(storage, [Source("one", ["n", "sample_id"])]) as parts:
        assert [tables[0].column_names for tables in parts] == [["n", "sample_id"]]


@pytest.mark.parametrize("ids", [list("aabbcd"), list("aaccbb"), list("aabb"), list("aabbccdd")])
def test_a_table_that_does_not_fit_is_noticed(tmp_path: Path, ids: list[str]) -> None:
    storage = Storage(tmp_path)
    write(storage, "one", list("abc"))
    write(storage, "two", ids)
    sources = [Source("one", ["sample_id"]), Source("two", ["sample_id"], 2)]
    with slices(storage, sources, samples=2) as parts, pytest.raises(AssertionError, match="two"):
        list(parts)


def test_open_tables_tell_of_what_editions_a_unit_is_made(tmp_path: Path) -> None:
    storage, rows = Storage(tmp_path), pa.table({"sample_id": ["a"]})
    storage.write_table("pool", rows)
    for name, edition in (("first", None), ("mended", "e")):
        with storage.table_writer(name, rows.schema, edition=edition) as writer:
            writer.write_table(rows)
    with slices(storage, [Source(n, ["sample_id"]) for n in ("pool", "first", "mended")]) as parts:
        for inputs in (("first", "mended"), ("first",)):
            unit = Unit("scores", "key", 0, 1, "pool", inputs=inputs)
            assert parts.inputs_edition(unit) == inputs_edition(storage, unit)
        assert parts.inputs_edition(replace(unit, inputs=("mended",))) is not None


def test_repeat_keeps_the_order() -> None:
    assert repeat(pa.array(["a", None, "b"]), 2).to_pylist() == ["a", "a", None, None, "b", "b"]
