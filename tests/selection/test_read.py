from pathlib import Path

import pyarrow as pa
import pytest

from qibox.errors import UsageError
from qibox.run.directory import Run
from qibox.run.finished import selection_files, selection_names
from qibox.selection.choose import choose
from qibox.selection.read import (
    first_images,
    read_selection,
    read_selection_lineage,
    selection_digest,
)
from qibox.selection.request import OPEN_BOX, by_box
from qibox.selection.write import write_selection
from qibox.tables import IMAGE, SELECTION
from tests.runs import png, sample, write_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with the finished selection ``default`` of a, with a picture, and b, without."""
    rows = [sample("a", 5, 3, image=png(9)), sample("b", 6, 2, image=None)]
    run = write_run(tmp_path / "run", rows)
    write_selection(run, choose(run, by_box(OPEN_BOX)))
    return run


def test_a_missing_selection_names_those_there_and_the_command_that_makes_one(run: Run) -> None:
    with pytest.raises(UsageError, match=r"no selection named 'other'.*has default\): `qibox sel"):
        read_selection(run.storage, "other")
    run.storage.remove("selections/default/selection.yaml")
    with pytest.raises(UsageError, match=r"no selection named 'default'.*\(it has none yet\)"):
        selection_digest(run.storage, "default")


def test_a_selection_that_is_not_whole_is_not_there(run: Run) -> None:
    table = read_selection(run.storage, "default")
    run.storage.write_table("selections/half/data/train-00000-of-00001.parquet", table)
    run.storage.write_text("selections/.killed.1f/selection.yaml", "name: killed\n")
    assert selection_names(run.storage) == ["default"]
    assert read_selection_lineage(run.storage, "half") is None
    with pytest.raises(UsageError, match=r"named 'half' .*\(it has default\)"):
        read_selection(run.storage, "half")


def test_a_selection_is_all_its_shards_in_order_and_nobody_elses_file(run: Run) -> None:
    before = selection_digest(run.storage, "default")
    first = read_selection(run.storage, "default")
    (only,) = selection_files(run.storage, "default")
    run.storage.remove(only)
    names = [f"selections/default/data/train-0000{shard}-of-00002.parquet" for shard in range(2)]
    run.storage.write_table(names[0], first)
    run.storage.write_table(names[1], first.slice(1))
    run.storage.write_text("selections/default/data/notes.txt", "mine")
    assert selection_files(run.storage, "default") == names
    table = read_selection(run.storage, "default")
    assert table.schema.equals(SELECTION)
    assert table["sample_id"].to_pylist() == ["a", "b", "b"]
    assert selection_digest(run.storage, "default") != before


def test_some_columns_can_be_read_alone(run: Run) -> None:
    table = read_selection(run.storage, "default", ["question", "risk"])
    assert table.column_names == ["question", "risk"]
    assert table["risk"].to_pylist() == ["none", "none"]


def test_the_lineage_is_read_as_it_was_written(run: Run) -> None:
    found = read_selection_lineage(run.storage, "default")
    assert found is not None
    assert (found["name"], found["chosen"]) == ("default", 2)


def test_the_first_picture_of_each_row_across_chunks_and_slices() -> None:
    one, two = {"bytes": b"1", "path": None}, {"bytes": b"2", "path": "two"}
    kind = pa.list_(IMAGE)
    rows = [[one, two], [], None, [two]]
    images = pa.chunked_array([pa.array(rows, kind), pa.array([[two], *rows], kind).slice(1)])
    assert first_images(images).to_pylist() == [one, None, None, two] * 2
    assert first_images(pa.chunked_array([], kind)).to_pylist() == []


def test_the_pictures_of_a_selection_are_the_pools(run: Run) -> None:
    found = first_images(read_selection(run.storage, "default")["images"])
    assert found.to_pylist() == [{"bytes": png(9), "path": None}, None]
