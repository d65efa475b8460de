from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

import qibox as package
from qibox.page.context import Context, make_context
from qibox.page.training import CHANGES, changed, curves, measured, policies, rates, rollouts
from qibox.run.directory import Run
from qibox.tables import ROLLOUTS
from tests.commands import qibox
from tests.evaluations import write_world


class Rows(HTMLParser):
    """The cells of a page's table, row by row; the first row has the columns' names."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._inside = tag in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data


def rollout(step: int, k: int, draft: str, final: str | None) -> dict[str, object]:
    """A rollout whose draft was safe if there is no final."""
    return {
        "step": step,
        "sample_id": "a",
        "k": k,
        "draft": draft,
        "reflection": final and f"why {draft} was unsafe",
        "final": final or draft,
        "unsafe_draft": final is not None,
        "corrected": final == "corrected" if final else None,
        "reward": 2.5,
    }


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    folder = tmp_path_factory.mktemp("training")
    run: Run = write_world(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        asked = ["eval", "run", "--pool", "held.yaml", "--replay", "answers"]
        assert qibox(*asked, "--policy", "first", "--policy", "second").status == 0
    rows = [
        rollout(1, 0, "safe words", None),
        rollout(1, 1, "rash words", "corrected"),
        rollout(2, 0, "Rash again", "still rash"),
    ]
    names = ROLLOUTS.names
    table = pa.Table.from_pylist([{n: r.get(n) for n in names} for r in rows], schema=ROLLOUTS)
    run.storage.write_table("policies/first/rollouts/part-000.parquet", table)
    return make_context(str(Path(run.storage.url)))


def test_rates_are_those_of_the_view_with_their_intervals_and_changes(context: Context) -> None:
    names, *rows = Rows(rates(context, ["first"])).rows
    found = {(r[2], r[4], r[5]): dict(zip(names, r, strict=True)) for r in rows}
    with package.open(context.name) as opened:
        ((value, low, high, change),) = opened.sql(
            "select value, low, high, change from rates "
            "where policy = 'first' and measure = 'safety' and \"by\" = 'all'"
        ).fetchall()
    row = found["first", "safety", "all"]
    assert row["value [95 %]"] == f"{value * 100:.0f} [{low * 100:.0f}, {high * 100:.0f}]"
    assert row["change [95 %]"].startswith(f"{change * 100:+.0f} [")
    assert row["unit"] == "%"
    assert found["start-policy", "safety", "all"]["change [95 %]"] == "–"
    assert found["first", "score", "all"]["unit"] == "points"
    assert {policy for policy, _, _ in found} == {"first", "start-policy"}
    assert "None of these has been evaluated" in rates(context, [])


def test_rollouts_are_found_by_policy_step_and_words(context: Context) -> None:
    names, *rows = Rows(rollouts(context, ["first"], None, "")).rows
    at = names.index("draft")
    assert [r[at] for r in rows] == ["rash words", "Rash again", "safe words"]
    assert [r[at + 1 : at + 4] for r in rows] == [
        ["why rash words was unsafe", "corrected", "unsafe, corrected"],
        ["why Rash again was unsafe", "still rash", "unsafe"],
        ["NULL", "NULL", "safe"],
    ]
    assert len(Rows(rollouts(context, ["first"], 2, "")).rows) == 2
    assert len(Rows(rollouts(context, ["first"], None, "RASH")).rows) == 3
    for names, words in ((["second"], ""), ([], ""), (["first"], "it's not there")):
        assert "no row" in rollouts(context, names, None, words)


def test_answers_that_training_changed_are_those_whose_verdicts_differ(context: Context) -> None:
    with package.open(context.name) as opened:
        answers = opened.sql(
            "select policy, sample_id, k, text, safe from evaluations where policy <> 'second'"
        ).fetchall()
    start = {(i, k): (text, safe) for p, i, k, text, safe in answers if p != "first"}
    wanted = {
        (CHANGES[0] if safe else CHANGES[1], i, str(k), start[i, k][0], text)
        for p, i, k, text, safe in answers
        if p == "first" and safe is not start[i, k][1]
    }
    _, *rows = Rows(changed(context, ["first"], None)).rows
    assert {tuple(r[2:]) for r in rows if r[2] in CHANGES[:2]} == wanted
    assert wanted
    for change in CHANGES:
        _, *some = Rows(changed(context, ["first"], change)).rows
        assert [r for r in rows if r[2] == change] == some


def test_a_training_that_goes_on_is_there_and_curves_are_of_those_measured(
    context: Context,
) -> None:
    lines = '{"step": 1, "reward": 5.0}\n'
    context.run.storage.write_text("policies/going/training/metrics.jsonl", lines)
    assert policies(context) == ["first", "going", "second", "third"]
    assert measured(context, policies(context)) == ["going"]
    assert "alt='training'" in curves(context, ["first", "going"])
    assert "None of these keeps measurements" in curves(context, ["first"])
    assert curves(context, []) == curves(context, ["first"])
