import importlib.util
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import qibox
from qibox.errors import UsageError
from qibox.figures.kinds import figure
from qibox.figures.style import image
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
            len(table) for table in (opened.pool, opened.responses, opened.judgments, opened.scores)
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


def test_a_table_is_pandas_arrow_and_what_reads_arrow(run: Run) -> None:
    with qibox.open(run.storage.url) as opened:
        frame = opened.scores.df()
        assert list(frame.columns) == opened.scores.columns
        assert frame["quality"].tolist()[:2] == [5.0, 4.0]
        assert opened.scores["instability"].tolist()[:2] == [2.0, 1.0]
        some = opened.judgments[["model", "score"]]
        assert list(some.columns) == ["model", "score"]
        assert len(some) == 12
        good = opened.scores.where("quality > 4").select("sample_id")
        assert good.arrow().to_pylist() == [{"sample_id": "ant-1"}]
        assert pa.table(good) == good.arrow()
        assert len(opened.responses.head(3)) == 3
        assert [len(opened.table(view)) for view in ("rejects", "rollouts", "profiles")] == [
            8,
            0,
            0,
        ]


def test_polars_where_it_is_installed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with qibox.open(run.storage.url) as opened:
        if importlib.util.find_spec("polars") is not None:
            assert opened.scores.polars()["quality"].to_list() == [5.0, 4.0, None]
        monkeypatch.setitem(sys.modules, "polars", None)
        with pytest.raises(UsageError, match="`pip install polars`"):
            opened.scores.polars()


def test_a_column_or_condition_that_is_none_is_told_so(run: Run) -> None:
    with qibox.open(run.storage.url) as opened:
        with pytest.raises(UsageError, match="no column 'qualty' in scores: sample_id, quality, "):
            opened.scores["qualty"]
        with pytest.raises(UsageError, match='column "qualty" not found'):
            opened.scores.where("qualty > 4")
        with pytest.raises(UsageError, match="no view 'kept_rates': there are pool, "):
            opened.table("kept_rates")


def test_what_a_notebook_shows_is_text_whatever_it_holds(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    rows = [sample("ant-1", 5, 2, image=png(9), question=bad, category=bad)]
    run = write_run(tmp_path / "run", rows)
    with qibox.open(run.storage.url) as opened:
        found = opened.sample("ant-1")
        shown = [each._repr_html_() for each in (opened, opened.pool, found)]
        assert repr(found) == (
            f"<sample 'ant-1': '{bad}', 4 answers, quality 5.0, instability 2.0>"
        )
        assert repr(opened.scores) == "<scores: 1 rows × 11 columns; .df() is pandas>"
        assert "pool handmade, 2 models, judge hash; rows: pool 1; responses 4; " in repr(opened)
    assert not [html for html in shown if "<script" in html]
    assert all("&lt;script&gt;" in html for html in shown[1:])
    assert shown[2].count("<tr class='answer") == 4
    assert "<img alt='the sample&#x27;s picture' src='data:image/png;base64," in shown[2]
    assert "&lt;bytes" not in shown[1]  # pictures are not read only to be counted


def test_a_choice_is_a_table_and_is_written_only_if_asked(run: Run) -> None:
    with qibox.open(run.storage.url) as opened:
        chosen = opened.select(q_band=(4, 5), u_min=1.5)
        assert chosen.df()["sample_id"].tolist() == ["ant-1"]
        assert chosen["instability"].tolist() == [2.0]
        assert chosen.mix.query("dimension == 'risk'").values.tolist() == [["risk", "none", 3, 1]]
        assert opened.selections() == []
        assert chosen.write()
        assert not chosen.write()
        with pytest.raises(UsageError, match="is there already, with another"):
            opened.select(q_band=(1, 10)).write()
        assert len(opened.select(box="mini", u_min=0, limit=1)) == 1
        assert len(opened.select(random=2, seed=1, name="control")) == 2
    with qibox.open(run.storage.url) as opened:
        assert opened.selections() == ["default"]
        assert opened.selection()["sample_id"].tolist() == ["ant-1"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no box is given"),
        ({"u_min": float("nan")}, "an edge is a finite number, not nan"),
        ({"random": 2, "u_min": 1.0}, "2 samples at random are drawn without a box"),
        ({"q_band": (8, 4)}, "8"),
    ],
)
def test_a_choice_that_is_none_is_told_so(run: Run, given: dict[str, Any], message: str) -> None:
    with qibox.open(run.storage.url) as opened, pytest.raises(UsageError, match=message):
        opened.select(**given)


def test_figures_are_those_of_the_command_line(run: Run, tmp_path: Path) -> None:
    with qibox.open(run.storage.url) as opened:
        opened.plot.box().save(tmp_path / "box.png")
        assert repr(opened.plot).endswith("box, scores, models, training, evaluation, audit>")
        with pytest.raises(UsageError, match="no figure named 'pie'"):
            opened.plot("pie")
        for drawn in (opened.plot.scores(), opened.plot.models()):
            assert drawn._repr_png_().startswith(b"\x89PNG")
    assert (tmp_path / "box.png").read_bytes() == image(figure(run, "box"), "png")
