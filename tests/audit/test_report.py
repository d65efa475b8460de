"""A whole audit, recomputed by hand from the verdicts that two judges gave."""

import math
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from qibox.audit.agreement import accuracy, kappa
from qibox.audit.report import audit, keep_audit, two_judges
from qibox.catalog.connect import connect
from qibox.errors import UsageError
from qibox.run.directory import Run
from qibox.selection.choose import choose
from qibox.selection.request import OPEN_BOX, by_box
from qibox.selection.write import write_selection
from qibox.verdict import Verdict, VerdictWeights, score_verdict
from tests.audit.judging import ANSWERS, TEXTS, Key, judged_twice, verdict

# Without reasoning a score is (2 · harmlessness + helpfulness) / 3.
FIRST: dict[Key, Verdict | None] = {
    (0, "ada", 0): verdict(True, 10, helpfulness=10),  # 10, of both models
    (0, "ada", 1): verdict(False, 1, helpfulness=1),  # 1
    (0, "bay", 1): verdict(True, 7, helpfulness=7),  # 7
    (1, "ada", 0): verdict(True, 8, helpfulness=8),  # 8, of both models
    (1, "ada", 1): verdict(True, 6, helpfulness=6),  # 6
    (1, "bay", 1): verdict(False, 2, helpfulness=2),  # 2
    (2, "ada", 0): verdict(True, 9, helpfulness=9),  # 9, of both models
    (2, "ada", 1): verdict(True, 9, helpfulness=9),  # 9
    (2, "bay", 1): verdict(True, 9, helpfulness=9),  # 9
}
SECOND = FIRST | {
    (0, "ada", 1): verdict(True, 4, helpfulness=4),  # 4: safe, where the first says unsafe
    (1, "ada", 1): verdict(False, 5, helpfulness=5),  # 5: unsafe, where the first says safe
    (1, "bay", 1): None,  # no word on it
    (2, "bay", 1): verdict(True, 3, helpfulness=3, hallucination=True),  # 3
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return judged_twice(tmp_path_factory.mktemp("audit"), FIRST, SECOND)


@pytest.fixture(scope="module")
def found(run: Run) -> pd.DataFrame:
    # By the first judge: s0 has Q 7, U √((9+36+9)/4) = 3.67; s1 6 and 2.45; s2 9 and 0.
    box = OPEN_BOX.model_copy(update={"u_min": OPEN_BOX.u_min.model_copy(update={"value": 2.0})})
    write_selection(run, choose(run, by_box(box, "wavering")))
    return audit(run, *two_judges(run), "wavering").rows.to_pandas()


def value(found: pd.DataFrame, part: str, measure: str, statistic: str, among: Any = None) -> Any:
    group = found["among"].isna() if among is None else found["among"] == among
    here = (found["part"] == part) & (found["measure"] == measure) & group
    (row,) = found[here & (found["statistic"] == statistic)].itertuples()
    return None if math.isnan(row.value) else row.value


def test_flags(found: pd.DataFrame) -> None:
    # 11 of 12 answers have both verdicts: both safe 9, safe alone by the first 1 (s1 ada 1), by the
    # second 1 (s0 ada 1); p_e = (10·10 + 1·1) / 121
    assert value(found, "flags", "safe", "accuracy") == round(9 / 11, 6)
    expected = (9 / 11 - 101 / 121) / (1 - 101 / 121)
    assert value(found, "flags", "safe", "kappa") == round(expected, 6)
    # coincidences 18 safe-safe, 2 + 2 apart, of 22 values 20 safe: 1 − (4/22) / (2·20·2 / (22·21))
    assert value(found, "flags", "safe", "alpha") == round(1 - (4 / 22) / (80 / 462), 6)
    # On s2 all four are safe by both: nothing varies. One of eleven hallucinates, by the second.
    assert value(found, "flags", "contradiction", "kappa") is None
    assert value(found, "flags", "hallucination", "accuracy") == round(10 / 11, 6)
    # Of ada's six answers four are safe by both, and each judge calls one other unsafe.
    assert value(found, "flags", "safe", "accuracy", "ada") == round(4 / 6, 6)
    assert value(found, "flags", "safe", "kappa", "bay") is None


def test_intervals_are_over_samples(found: pd.DataFrame) -> None:
    """Of three samples there are 27 draws, each in 1 of 27, so the percentiles are the extremes."""
    said = [
        (key[0], FIRST[text], SECOND[text])
        for key in ANSWERS
        for text in [(key[0], "ada", 0) if key[2] == 0 else key]
    ]
    by_sample = [
        Counter((a.safe, b.safe) for i, a, b in said if i == s and a and b) for s in range(3)
    ]
    draws = [sum(drawn, Counter()) for drawn in product(by_sample, repeat=3)]
    kappas = [value for draw in draws if (value := kappa(draw)) is not None]
    rows = found[(found["part"] == "flags") & (found["by"] == "all") & (found["measure"] == "safe")]
    rows = rows.set_index("statistic")
    assert rows.loc["kappa", "low"] == pytest.approx(min(kappas), abs=1e-6)
    assert rows.loc["kappa", "high"] == pytest.approx(max(kappas), abs=1e-6)
    shares = [accuracy(draw) for draw in draws]
    assert rows.loc["accuracy", "low"] == pytest.approx(min(shares), abs=1e-6)
    assert rows.loc["accuracy", "high"] == pytest.approx(max(shares), abs=1e-6)


def test_scores(found: pd.DataFrame) -> None:
    apart = [3, -1, -6] + [0] * 8
    assert value(found, "scores", "score", "mean error") == round(sum(apart) / 11, 6)
    assert value(found, "scores", "score", "absolute error") == round(10 / 11, 6)
    assert value(found, "scores", "score", "within 1") == round(9 / 11, 6)
    pairs = pd.DataFrame([_pair(key) for key in ANSWERS], columns=["a", "b"]).dropna()
    assert len(pairs) == 11
    ranks = pairs.rank()  # midranks: Spearman's rho is their Pearson correlation
    assert value(found, "scores", "score", "spearman") == round(ranks["a"].corr(ranks["b"]), 6)
    assert value(found, "scores", "score", "kendall") == round(_tau_b(pairs), 6)


def _pair(key: Key) -> tuple[float, float]:
    """The scores that a text got; equal texts are judged once."""
    i, model, k = key
    said = (i, "ada", 0) if k == 0 else (i, model, 1)
    verdicts = FIRST[said], SECOND[said]
    first, second = (
        math.nan if each is None else score_verdict(each, VerdictWeights()).score
        for each in verdicts
    )
    return first, second


def _tau_b(pairs: pd.DataFrame) -> float:
    """By its definition, pair by pair."""
    rows = list(pairs.itertuples(index=False))
    signs = [(_sign(x.a - y.a), _sign(x.b - y.b)) for n, x in enumerate(rows) for y in rows[:n]]
    untied = [sum(s[i] != 0 for s in signs) for i in range(2)]
    return sum(a * b for a, b in signs) / math.sqrt(untied[0] * untied[1])


def _sign(number: float) -> int:
    return (number > 1e-9) - (number < -1e-9)


def test_length_groups_hold_every_answer_once(found: pd.DataFrame) -> None:
    lengths = found[(found["by"] == "length") & (found["statistic"] == "accuracy")]
    assert lengths.loc[lengths["measure"] == "safe", "n"].sum() == 11


def test_the_box_under_the_other(found: pd.DataFrame) -> None:
    # By the second: s0 10 4 10 7 has Q 7.75, U 2.49 and stays; s1 8 5 8 has the models' means 6.5
    # and 8, Q 7.25, U 1.30, and leaves; s2 9 9 9 3 has Q 7.5, U 2.6, and enters.
    assert value(found, "box", "wavering", "kept") == 1
    assert value(found, "box", "wavering", "leaving") == 1
    assert value(found, "box", "wavering", "entering") == 1
    assert value(found, "box", "wavering", "overlap") == round(1 / 3, 6)
    assert value(found, "samples", "quality", "mean error") == round((0.75 + 1.25 - 1.5) / 3, 6)
    first = [math.sqrt((9 + 36 + 9) / 4), math.sqrt((4 + 0 + 4 + 16) / 4), 0]
    # of s1 D² = .75² and V² = (1.5² + 0) / 2: a model with one verdict weighs as much
    second = [
        math.sqrt((2.25**2 * 2 + 3.75**2 + 0.75**2) / 4),
        math.sqrt(0.75**2 + 1.5**2 / 2),
        math.sqrt((1.5**2 * 3 + 4.5**2) / 4),
    ]
    apart = sum(second) - sum(first)
    assert value(found, "samples", "instability", "mean error") == round(apart / 3, 6)


def test_biases(found: pd.DataFrame) -> None:
    # d = 3 on s0 ada 1, −1 on s1 ada 1, −6 on s2 bay 1, 0 elsewhere
    rows = found[found["part"] == "bias"].set_index("measure")
    assert rows.loc["leniency", "value"] == round(-4 / 11, 6)
    assert rows.loc["leniency", "low"] < -4 / 11 < rows.loc["leniency", "high"]
    assert rows.loc["leniency, safe", "value"] == 0
    assert math.isnan(rows.loc["refusal", "value"])  # nobody refuses here
    apart = {(0, "ada", 1): 3.0, (1, "ada", 1): -1.0, (2, "bay", 1): -6.0}
    there = [key for key in ANSWERS if key != (1, "bay", 1)]
    x = pd.Series([math.log2(len(TEXTS[key].split("</think>")[-1])) for key in there])
    d = pd.Series([apart.get(key, 0.0) for key in there])
    slope = x.cov(d) / x.var()
    assert rows.loc["length", "value"] == pytest.approx(slope, abs=1e-6)


def test_with_itself_a_judge_agrees_wholly(run: Run) -> None:
    (first, _) = two_judges(run)
    rows = audit(run, first, first).rows.to_pandas()
    kappas = rows[rows["statistic"].isin(["kappa", "alpha"])]
    varies = (kappas["measure"] == "safe") & kappas["among"].isin([None, "ada", "bay"])
    assert (kappas.loc[varies & kappas["value"].notna(), "value"] == 1).all()
    assert kappas.loc[(kappas["measure"] == "safe") & kappas["among"].isna(), "value"].eq(1).all()
    assert kappas.loc[kappas["measure"] == "contradiction", "value"].isna().all()
    assert (rows.loc[rows["statistic"] == "absolute error", "value"] == 0).all()
    assert not len(audit(run, first, first).disagreements)


def test_the_gravest_come_first(run: Run) -> None:
    made = audit(run, *two_judges(run))
    worst = made.disagreements.to_pylist()
    said = [(row["sample_id"], row["model"], row["k"]) for row in worst]
    # A flag that turns goes first, of those the more points; then the most points.
    assert said == [("small:s0", "ada", 1), ("small:s1", "ada", 1), ("small:s2", "bay", 1)]
    assert [(row["score"], row["other_score"]) for row in worst] == [(1, 4), (6, 5), (9, 3)]
    assert (worst[0]["safe"], worst[0]["other_safe"]) == (False, True)


def test_it_is_kept_and_seen_in_sql(run: Run) -> None:
    made = audit(run, *two_judges(run))
    folder = keep_audit(run, made)
    assert folder == "audits/judge=first/other=second"
    assert run.storage.exists(f"{folder}/audit.png")
    with connect(run, ("audits",)) as connection:
        rows = connection.sql("select * from audits").to_arrow_table()
    assert rows.equals(made.rows)


def test_the_selections_card_has_a_row(run: Run) -> None:
    def card() -> str:
        return run.storage.read_text("selections/wavering/README.md")

    made = audit(run, *two_judges(run), "wavering")
    row = "| second | 11 | 81.8% | -0.10 | 0.91 | 1 stay, 1 leave, 1 enter |"
    for _ in range(2):  # a second audit takes the place of the first
        keep_audit(run, made)
        assert card().count(row) == 1
        assert card().index("## Other judges") < card().index("## Reproduce")
    box = OPEN_BOX.model_copy(update={"u_min": OPEN_BOX.u_min.model_copy(update={"value": 2.0})})
    write_selection(run, choose(run, by_box(box, "wavering")), overwrite=True)
    later = by_box(box, "later")
    write_selection(run, choose(run, later))
    assert "| second | 11 | 81.8% | -0.10 | 0.91 | - |" in run.storage.read_text(
        "selections/later/README.md"
    )


def test_people_have_gaps(tmp_path: Path) -> None:
    """Who rated one answer is compared on that one."""
    run = judged_twice(tmp_path, FIRST, {(0, "ada", 1): verdict(True, 4)})
    found = audit(run, *two_judges(run)).rows.to_pandas()
    assert value(found, "flags", "safe", "accuracy") == 0
    assert value(found, "scores", "score", "spearman") is None
    assert (found["n"] == 1).all()


@pytest.mark.parametrize("names", [("first", "none"), ("none", "second")])
def test_an_unknown_judge_is_refused(run: Run, names: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=r"no judge 'none' in .*, which has first, second"):
        two_judges(run, names)
