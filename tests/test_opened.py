from pathlib import Path

import duckdb
import pytest

import qibox
from qibox.errors import UsageError
from qibox.run.directory import Run
from qibox.selection.choose import choose
from qibox.selection.request import OPEN_BOX, by_box
from qibox.selection.write import write_selection
from tests.runs import png, sample, write_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    rows = [sample("ant-1", 5, 2, image=png(9)), sample("bee-1", 4, 1, image=None)]
    return write_run(tmp_path / "run", [*rows, sample("cat-1", None, None)])


def test_sql_gives_rows_and_frames(run: Run) -> None:
    with qibox.open(run.storage.url) as opened:
        relation = opened.sql("select sample_id, quality from scores order by sample_id")
        assert relation.fetchall() == [("ant-1", 5.0), ("bee-1", 4.0), ("cat-1", None)]
        frame = relation.df()
        assert list(frame["sample_id"]) == ["ant-1", "bee-1", "cat-1"]
        assert frame["quality"].isna().tolist() == [False, False, True]


def test_each_table_has_its_shorthand(run: Run) -> None:
    with qibox.open(run.storage.url) as opened:
        sizes = [
            len(table.fetchall())
            for table in (opened.pool, opened.responses, opened.judgments, opened.scores)
        ]
    assert sizes == [3, 12, 12, 3]  # 3 samples, 2 models, 2 responses each


def test_a_sample_has_its_answers_with_their_verdicts(run: Run) -> None:
    with qibox.open(run.storage.url) as opened:
        found = opened.sample("ant-1")
        assert found.row["question"] == "what is in ant-1 ?"
        assert found.image == png(9)
        assert found.scores is not None
        assert found.scores["instability"] == 2.0
        said = [(a.response["model"], a.response["k"], a.response["answer"]) for a in found.answers]
        assert said == [
            ("first", 0, "first says 0"),
            ("first", 1, "first says 1"),
            ("second", 0, "second says 0"),
            ("second", 1, None),
        ]
        scores = [[j["score"] for j in a.judgments] for a in found.answers]
        assert scores == [[9.0], [9.0], [2.0], [None]]
        assert found.answers[3].judgments[0]["reason"] == "no response"
        assert opened.sample("bee-1").image is None


def test_a_sample_is_there_before_it_is_scored(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [sample("ant-1", 5, 2)], scored=False)
    with qibox.open(run.storage.url) as opened:
        found = opened.sample("ant-1")
    assert (found.scores, found.answers, found.selections) == (None, (), ())


def test_an_unknown_sample_names_the_nearest(run: Run) -> None:
    with qibox.open(run.storage.url) as opened:
        with pytest.raises(UsageError, match=r"no sample 'bee-2' in .*: near ids are bee-1, "):
            opened.sample("bee-2")
        with pytest.raises(UsageError, match="no sample"):
            opened.sample("' or true --")


def test_a_selection_by_its_name(run: Run) -> None:
    with (
        qibox.open(run.storage.url) as opened,
        pytest.raises(UsageError, match=r"no selection named 'default' in .* \(it has none yet"),
    ):
        opened.selection()
    write_selection(run, choose(run, by_box(OPEN_BOX, name="mine")))
    with qibox.open(run.storage.url) as opened:
        chosen = opened.selection("mine").select("sample_id").fetchall()
        assert sorted(chosen) == [("ant-1",), ("bee-1",)]
        assert opened.sample("ant-1").selections == ("mine",)
        assert opened.sample("cat-1").selections == ()
        with pytest.raises(UsageError, match=r"\(it has mine\)"):
            opened.selection("yours")


def test_an_error_in_a_later_batch_is_one_sentence_too(run: Run) -> None:
    # Far more rows than are computed ahead, so the first batch is out before the error.
    late = "select if(i = 9999999, error('late'), i) as i from range(10000000) t(i)"
    with qibox.open(run.storage.url) as opened:
        batches = opened.batches(late)
        assert batches.schema.names == ["i"]
        assert len(batches.read_next_batch()) > 0
        with pytest.raises(UsageError, match=r"^Invalid Input Error: late$"):
            for _ in batches:
                pass


def test_describe_and_explain_come_in_batches_as_well(run: Run) -> None:
    with qibox.open(run.storage.url) as opened:
        names = opened.batches("describe scores").read_all()["column_name"].to_pylist()
        assert names[:2] == ["sample_id", "quality"]
        (plan,) = opened.batches("explain select 1").read_all()["explain_value"].to_pylist()
        assert "1 row" in plan


def test_what_is_refused_and_what_is_wrong(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no run at .*: `qibox score out="):
        qibox.open(tmp_path / "nowhere")
    with qibox.open(run.storage.url) as opened:
        with pytest.raises(UsageError, match="DROP is refused"):
            opened.sql("drop view pool")
        with pytest.raises(UsageError, match='Did you mean "scores"'):
            opened.sql("select * from scroes")
    with pytest.raises(duckdb.Error, match="closed"):
        opened.pool.fetchall()
