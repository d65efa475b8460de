from pathlib import Path

import duckdb
import pytest

from qibox.catalog import export
from qibox.catalog.about import ABOUT
from qibox.catalog.connect import VIEWS, reading
from qibox.errors import UsageError
from qibox.run.directory import Run
from qibox.selection.choose import choose
from qibox.selection.request import OPEN_BOX, by_box
from qibox.selection.write import write_selection
from tests.runs import png, sample, write_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    rows = [sample("a", 5, 2, image=png(9)), sample("b", None, None), sample("c", 7, 1, image=None)]
    run = write_run(tmp_path / "run", rows, shard_size=2)
    write_selection(run, choose(run, by_box(OPEN_BOX)))
    return run


def test_every_view_has_a_sentence() -> None:
    assert set(ABOUT) == set(VIEWS)


def test_each_view_is_a_table_with_the_same_rows(run: Run, tmp_path: Path) -> None:
    counts = export.export_run(run, tmp_path / "it's.duckdb", pictures=True)
    assert (counts["pool"], counts["judgments"], counts["selections"]) == (3, 12, 2)
    with duckdb.connect(tmp_path / "it's.duckdb", read_only=True) as made, reading(run) as views:
        for view in VIEWS:
            query = f"select * from {view} order by all"
            assert made.sql(query).to_arrow_table().equals(views.sql(query).to_arrow_table()), view
        said = made.sql("select table_name, comment from duckdb_tables()").fetchall()
    assert dict(said) == ABOUT


def test_pictures_are_left_out_unless_asked_for(run: Run, tmp_path: Path) -> None:
    export.export_run(run, tmp_path / "run.duckdb")
    with duckdb.connect(tmp_path / "run.duckdb", read_only=True) as made:
        named = made.sql("select column_name, data_type from duckdb_columns()").fetchall()
    assert not [kind for _, kind in named if "BLOB" in kind]
    assert "question" in dict(named)
    assert png(9) not in (tmp_path / "run.duckdb").read_bytes()


def test_a_file_of_an_earlier_format_is_written(run: Run, tmp_path: Path) -> None:
    export.export_run(run, tmp_path / "run.duckdb")
    head = (tmp_path / "run.duckdb").read_bytes()[:20]
    assert head[8:12] == b"DUCK"
    assert int.from_bytes(head[12:20], "little") == 64  # storage version of DuckDB 0.10 to 1.1


def test_nothing_is_left_of_an_export_that_fails(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(run.storage.path("judgments")) / "judge=hash/model=second/shard-00001.parquet"
    file.write_bytes(file.read_bytes()[:-40] + bytes(40))
    with pytest.raises(Exception, match=r"shard-00001\.parquet"):
        export.export_run(run, tmp_path / "run.duckdb")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_is_there_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        export.export_run(run, tmp_path / "mine")
    with pytest.raises(UsageError, match=r"make .*/none first"):
        export.export_run(run, tmp_path / "none/run.duckdb")
    assert (tmp_path / "mine").read_text() == "mine"
