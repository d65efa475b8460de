"""A judge asked twice, and what a place is worth to one that compares; figures by hand."""

import pytest

from qibox.audit.noise import asked_again, noise_rows, position_row, rows_again
from qibox.audit.report import two_judges
from qibox.audit.starting import another, start
from qibox.judges.pairwise import PairwiseJudge
from qibox.manifests import JudgeManifest
from qibox.manifests.sampling import Sampling
from qibox.run.directory import Run
from tests.audit.judging import judged_twice
from tests.audit.test_report import FIRST, SECOND
from tests.judges.conftest import PrescribedEngine
from tests.runs import sample
from tests.tables import pool_of, responses_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return judged_twice(tmp_path_factory.mktemp("noise"), FIRST, SECOND)


def test_noise_by_hand(run: Run) -> None:
    """The first judge's answers rated again by one that says what the second says."""
    _, second = two_judges(run)
    judge, _ = start(second)
    frame = asked_again(run, "first", judge, 12)
    assert len(frame) == 12
    rows = {(r["measure"], r["statistic"]): r for r in noise_rows("first", frame)}
    # d is 3, −1 and −6 on three of the 11 that have both; two of them turn the flag.
    assert rows["score", "changed by"]["value"] == pytest.approx(10 / 11)
    assert rows["score", "unchanged"]["value"] == pytest.approx(8 / 11)
    assert rows["safe", "turned"]["value"] == pytest.approx(2 / 11)
    # s0: 10 1 10 7 has variance 13.5, 10 4 10 7 6.1875, d 0 3 0 0 1.6875
    # s1: 8 6 8 has 8/9, 8 5 8 2, d 0 −1 0 2/9;  s2: 0, 9 9 9 3 6.75, d 0 0 0 −6 6.75
    noise = (1.6875 + 2 / 9 + 6.75) / 2
    variance = (13.5 + 6.1875 + 8 / 9 + 2 + 6.75) / 2
    share = rows["instability", "share of variance"]
    assert share["value"] == pytest.approx(noise / variance)
    assert share["low"] <= share["value"] <= share["high"]
    assert {row["n"] for row in rows.values()} == {11}


def test_whole_samples_are_drawn(run: Run) -> None:
    _, second = two_judges(run)
    judge, _ = start(second)
    assert len(asked_again(run, "first", judge, 5)) == 8  # two samples of four answers


def test_a_judge_that_knows_says_the_same_again(run: Run) -> None:
    (first, _) = two_judges(run)
    rows = {(r["measure"], r["statistic"]): r["value"] for r in rows_again(run, first, 12)}
    assert rows == {
        ("score", "changed by"): 0,
        ("score", "unchanged"): 1,
        ("safe", "turned"): 0,
        ("instability", "share of variance"): 0,
    }


def test_people_are_not_asked(run: Run) -> None:
    people = JudgeManifest(
        name="people", about="labels", kind="people", path="labels/people.parquet", revision="x"
    )
    assert rows_again(run, people, 12) == []


def test_another_has_another_code_and_seed() -> None:
    judge = JudgeManifest(name="hash", about="by hash", kind="hash")
    assert another(judge).name == "hash-again"
    assert another(judge).sampling.seed == judge.sampling.seed + 1


def test_what_the_first_place_is_worth() -> None:
    """An engine that gives whatever is shown first two points more."""
    engine = PrescribedEngine(lambda prompt, sampling: r"Scores: \boxed{7, 5}")
    judge = PairwiseJudge("pairwise", engine, Sampling(temperature=0), pairs=1, safe_from=5.5)
    judge.heard = []
    samples = pool_of([sample("a", None, None), sample("b", None, None)])
    responses = responses_of([("a", "one"), ("a", "two"), ("a", "three"), ("b", "one")])
    scores = judge.judge(samples, responses)["score"].to_pylist()
    assert scores == [6, 6, 6, 6]  # both orders: the place cancels out
    row = position_row("pairwise", judge.heard)
    assert (row["value"], row["low"], row["high"]) == (2, 2, 2)
    assert row["n"] == 7  # three pairs in both orders, and one beside itself
