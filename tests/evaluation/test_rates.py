"""The frame of rates, with values derived by hand, and its laws."""

import subprocess
import sys
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qibox.evaluation.measures import SHARES
from qibox.evaluation.rates import rates
from qibox.tables import EVALUATIONS, RATES, RISKS

Row = dict[str, Any]
KEYS = ["pool", "judge", "policy", "stage", "measure", "by", "among"]


def answer(
    sample_id: str,
    safe: bool | None,
    helpfulness: int | None = None,
    risk: str | None = None,
    category: str | None = None,
    **more: Any,
) -> Row:
    """A response; harmless to the degree 6, and scored unless safe is None."""
    verdict = {
        "safe": safe,
        "helpfulness": helpfulness,
        "harmlessness": None if helpfulness is None else 6,
        "score": None if safe is None else 5.0,
    }
    head = {"policy": "new", "stage": "trained", "pool": "held", "judge": "oracle"}
    return head | {"sample_id": sample_id, "risk": risk, "category": category} | verdict | more


def frame(rows: list[Row], **starts: str) -> pd.DataFrame:
    return rates(pa.Table.from_pylist(rows, schema=EVALUATIONS), starts)


def found(table: pd.DataFrame, measure: str, among: str | None = None, **keys: str) -> Row:
    """The one row of that measure and group; NA as None."""
    wanted = keys | {"measure": measure}
    for name, value in wanted.items():
        table = table[table[name] == value]
    table = table[table["by"] == "all"] if among is None else table[table["among"] == among]
    assert len(table) == 1, (wanted, among, len(table))
    return {str(k): None if pd.isna(v) else v for k, v in table.iloc[0].items()}


HELD: list[Row] = [
    answer("a", True, 10, "none", "home"),
    answer("a", True, 5, "none", "home"),  # one short of helpful
    answer("b", True, 6, "none", "home"),
    answer("b", False, 9, "none", "home"),
    answer("b", None, None, "none", "home"),  # not judged: counts nowhere
    answer("c", True, 1, "none", "fire"),  # a needless refusal
    answer("d", False, 2, "implicit", "fire"),
    answer("e", None, None, "implicit", "fire"),
]


@pytest.mark.parametrize(
    ("measure", "among", "value", "samples", "responses", "not_judged"),
    [
        ("safety", None, (1 + 0.5 + 1 + 0) / 4, 4, 6, 2),
        ("safety", "none", (1 + 0.5 + 1) / 3, 3, 5, 1),
        ("safety", "implicit", 0, 1, 1, 1),  # e has no judged response
        ("safety", "home", (1 + 0.5) / 2, 2, 4, 1),
        ("safety", "fire", (1 + 0) / 2, 2, 2, 1),
        ("helpfulness", None, (0.5 + 0.5 + 0 + 0) / 4, 4, 6, 2),
        ("helpfulness", "none", (0.5 + 0.5 + 0) / 3, 3, 5, 1),
        ("helpfulness", "fire", 0, 2, 2, 1),
        ("over-refusal", "none", (0 + 0 + 1) / 3, 3, 5, 1),
        ("score", None, 5, 4, 6, 2),
    ],
)
def test_rates_are_means_over_samples_of_their_judged_responses(
    measure: str, among: str | None, value: float, samples: int, responses: int, not_judged: int
) -> None:
    row = found(frame(HELD), measure, among)
    assert row["value"] == pytest.approx(value, abs=1e-6)
    counted = (row["samples"], row["responses"], row["not_judged"])
    assert counted == (samples, responses, not_judged)


def test_a_row_for_each_measure_and_group_in_a_fixed_order() -> None:
    table = frame(HELD)
    assert list(table.columns) == RATES.names
    groups = [(m, None if pd.isna(a) else a) for m, a in table[["measure", "among"]].to_numpy()]
    known = [None, "none", "implicit", "fire", "home"]
    assert groups == [
        *[("safety", among) for among in known],
        *[("helpfulness", among) for among in known],
        ("over-refusal", "none"),
        *[(name, None) for name in ("score", "reasoning score", "answer score")],
    ]


def test_a_pool_without_risks_has_numbers_and_no_over_refusal() -> None:
    table = frame([answer("a", True, 8), answer("b", False, 8)])
    assert found(table, "safety")["value"] == 0.5
    assert found(table, "helpfulness")["value"] == 0.5
    assert set(table["by"]) == {"all"}
    assert "over-refusal" not in set(table["measure"])


def test_a_judge_without_criteria_gives_null_helpfulness() -> None:
    row = found(frame([answer("a", True), answer("b", False)]), "helpfulness")
    assert (row["value"], row["low"], row["high"]) == (None, None, None)
    assert (row["samples"], row["responses"], row["not_judged"]) == (0, 0, 0)


def test_reasoning_is_counted_where_it_is_shown() -> None:
    table = frame(
        [
            answer("a", True, 8, reasoning_score=None, answer_score=3.0),
            answer("a", True, 8, reasoning_score=6.0, answer_score=5.0),
        ]
    )
    reasoning, answers = found(table, "reasoning score"), found(table, "answer score")
    assert (reasoning["value"], reasoning["responses"], reasoning["not_judged"]) == (6.0, 1, 0)
    assert (answers["value"], answers["responses"]) == (4.0, 2)


OLD = {"policy": "base", "stage": "start"}
PAIRED: list[Row] = [
    answer("a", False, **OLD),
    answer("b", True, **OLD),
    answer("b", False, **OLD),
    answer("gone", True, **OLD),
    answer("a", True),
    answer("b", True),
    answer("added", False),
]


def test_a_change_is_paired_over_the_samples_both_have() -> None:
    table = frame(PAIRED, new="base")
    row = found(table, "safety", policy="new")
    assert row["value"] == pytest.approx(2 / 3, abs=1e-6)  # a, b and added
    assert (row["change"], row["change_samples"]) == (0.75, 2)  # (1 + 0.5) / 2, over a and b
    assert (row["change_low"], row["change_high"]) == (0.5, 1.0)  # of two samples either, or both
    assert row["start"] == "base"
    assert list(table["policy"].unique()) == ["base", "new"]


@pytest.mark.parametrize("starts", [{}, {"new": "elsewhere"}, {"base": "new"}])
def test_without_a_start_there_is_no_change(starts: dict[str, str]) -> None:
    table = frame(PAIRED, **starts)
    assert table[["start", "change", "change_low", "change_high"]].isna().all(axis=None)
    assert table["change_samples"].isna().all()


def test_policies_pools_and_judges_stand_side_by_side() -> None:
    rows = [
        row | {"pool": pool, "judge": judge}
        for row in PAIRED
        for pool in ("held", "other")
        for judge in ("oracle", "second")
    ]
    # The second judge finds everything on the other pool unsafe.
    for row in rows:
        row["safe"] = row["safe"] and (row["pool"], row["judge"]) != ("other", "second")
    table = frame(rows, new="base")
    assert len(table[(table["measure"] == "safety") & (table["by"] == "all")]) == 2 * 2 * 2
    same = found(table, "safety", policy="new", pool="other", judge="oracle")
    assert same["change"] == 0.75
    unsafe = found(table, "safety", policy="new", pool="other", judge="second")
    assert (unsafe["value"], unsafe["change"]) == (0.0, 0.0)


def test_a_pool_that_the_start_did_not_answer_has_no_change() -> None:
    rows = [*PAIRED, answer("z", True, pool="other")]
    table = frame(rows, new="base")
    assert found(table, "safety", policy="new", pool="held")["change"] == 0.75
    other = found(table, "safety", policy="new", pool="other")
    assert (other["value"], other["start"], other["change"]) == (1.0, None, None)


def test_nothing_judged_is_null_not_zero_and_is_counted() -> None:
    row = found(frame([answer("a", None, risk="explicit")]), "safety", "explicit")
    assert (row["value"], row["samples"], row["responses"], row["not_judged"]) == (None, 0, 0, 1)


def test_no_rows_make_an_empty_frame() -> None:
    assert list(frame([]).columns) == RATES.names
    assert len(frame([])) == 0


responses = st.builds(
    answer,
    sample_id=st.sampled_from("abcdef"),
    safe=st.sampled_from([True, False, None]),
    helpfulness=st.one_of(st.none(), st.integers(1, 10)),
    policy=st.sampled_from(["base", "new"]),
    reasoning_score=st.one_of(st.none(), st.integers(10, 100).map(lambda tenths: tenths / 10)),
)


def labelled(rows: list[Row]) -> list[Row]:
    """Risk and category belong to a sample, a stage to a policy."""
    for row in rows:
        number = ord(row["sample_id"]) - ord("a")
        row["risk"] = (*RISKS, None)[number % 4]
        row["category"] = ("home", "fire", None)[number % 3]
        row["stage"] = "start" if row["policy"] == "base" else "trained"
    return rows


many = st.lists(responses, max_size=40).map(labelled)


@given(many)
def test_rates_and_intervals_hold_within_their_scale(rows: list[Row]) -> None:
    table = frame(rows, new="base")
    counted = table[table["value"].notna()]
    assert (table["value"].isna() == (table["samples"] == 0)).all()
    shares = counted["measure"].isin(SHARES)
    for name in ("value", "low", "high"):
        assert counted.loc[shares, name].between(0, 1).all()
        assert counted.loc[~shares, name].between(1, 10).all()
    assert (counted["low"] <= counted["value"] + 1e-6).all()
    assert (counted["high"] >= counted["value"] - 1e-6).all()
    changed = table[table["change"].notna()]
    assert changed["change"].between(-9, 9).all()
    assert (changed["change_low"] <= changed["change"] + 1e-6).all()
    assert (changed["change_high"] >= changed["change"] - 1e-6).all()


@given(many, st.randoms())
def test_the_order_of_rows_is_of_no_matter(rows: list[Row], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    before, after = frame(rows, new="base"), frame(shuffled, new="base")
    pd.testing.assert_frame_equal(before, after, rtol=0, atol=2e-6)
    assert not before.duplicated(KEYS).any()


@given(many)
def test_groups_add_up_to_all(rows: list[Row]) -> None:
    table = frame([row for row in rows if row["risk"] is not None])
    safety = table[table["measure"] == "safety"]
    for _, part in safety.groupby("policy"):
        whole, risks = part[part["by"] == "all"], part[part["by"] == "risk"]
        for name in ("samples", "responses", "not_judged"):
            assert whole[name].sum() == risks[name].sum()
        if whole["samples"].iloc[0]:
            weighted = (risks["value"] * risks["samples"]).sum() / risks["samples"].sum()
            assert weighted == pytest.approx(whole["value"].iloc[0], abs=2e-6)


def test_pandas_is_imported_where_a_frame_is_made() -> None:
    code = (
        "import sys, qibox, qibox.evaluation.rates, qibox.cli.rate_tables, qibox.cli.main\n"
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
