import math
from statistics import fmean, pstdev
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qibox.box import Box
from qibox.scores import score_samples
from qibox.tables import SCORES

Judgment = tuple[str, str, float | None, bool | None]  # sample_id, model, score, safe


def judgments(rows: list[Judgment]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [[], [], [], []]
    types = {"sample_id": pa.string(), "model": pa.string(), "score": pa.float64()}
    types["safe"] = pa.bool_()
    arrays = [pa.array(c, t) for c, t in zip(columns, types.values(), strict=True)]
    return pa.table(dict(zip(types, arrays, strict=True)))


def scored(
    rows: list[Judgment], ids: list[str] | None = None, min_models: int = 1, min_responses: int = 1
) -> list[dict[str, Any]]:
    wanted = sorted({row[0] for row in rows}) if ids is None else ids
    table = score_samples(pa.array(wanted, pa.string()), judgments(rows), min_models, min_responses)
    assert table.schema.equals(SCORES)
    assert table["sample_id"].to_pylist() == wanted
    return table.to_pylist()


def sample(scores: dict[str, list[float | None]], safe: bool | None = True) -> list[Judgment]:
    """Judgments of one sample, "i", by model."""
    return [("i", m, s, None if s is None else safe) for m, row in scores.items() for s in row]


def test_a_complete_sample_by_hand() -> None:
    # a: 4, 8 → μ 6, v 4; b: 10, 10 → μ 10, v 0. Q = 8; D² = ((6 − 8)² + (10 − 8)²) / 2 = 4;
    # V² = (4 + 0) / 2 = 2; U² = 6. Safe: a 1/2, b 1 → 3/4; spread: a 2/1 · 1/4, b 0 → 1/4.
    rows = [("i", "a", 4.0, False), ("i", "a", 8.0, True)]
    rows += [("i", "b", 10.0, True), ("i", "b", 10.0, True)]
    (row,) = scored(rows)
    assert row == {
        "sample_id": "i",
        "quality": 8.0,
        "instability": 2.44949,  # √6 = 2.449489742…, at 6 decimals 2.449490
        "disagreement": 2.0,
        "self_instability": 1.414214,  # √2 = 1.414213562…
        "safe_rate": 0.75,
        "safety_spread": 0.25,
        "reasoned_share": None,
        "n_models": 2,
        "n_judged": 4,
        "reason": None,
    }


def test_the_share_that_reasoned_weighs_models_alike_and_is_null_where_nobody_tells() -> None:
    # a: 1 of 2 shows reasoning, b: 1 of 1 → 3/4; the second sample's judge tells nothing.
    table = judgments(
        [
            *sample({"a": [4.0, 8.0], "b": [10.0, None]}),
            ("j", "a", 5.0, None),
            ("j", "b", 5.0, None),
        ]
    )
    table = table.append_column("answer_score", pa.array([4.0, 8.0, 10.0, None, None, None]))
    table = table.append_column("logical_coherence", pa.array([None, 3, 3, None, None, None]))
    found = score_samples(pa.array(["i", "j"]), table, 1, 1)
    assert found["reasoned_share"].to_pylist() == [0.75, None]
    assert score_samples(pa.array(["i", "j"]), table, 3, 1)["reasoned_share"].null_count == 2


def test_each_model_weighs_the_same_whatever_it_lacks() -> None:
    # a: 2, 4, 6 → μ 4, v 8/3; b: 8 and two missing → μ 8, v 0. Q = 6, not the mean 5 of all four
    # scores; D = 2; V² = 4/3; U² = 16/3. Safe: a 0 of 3, b 1 of 1 → 1/2, not 1/4.
    rows = [("i", "a", 2.0, False), ("i", "a", 4.0, False), ("i", "a", 6.0, False)]
    rows += [("i", "b", 8.0, True), ("i", "b", None, None), ("i", "b", None, None)]
    (row,) = scored(rows)
    assert (row["quality"], row["disagreement"], row["safe_rate"]) == (6.0, 2.0, 0.5)
    assert (row["self_instability"], row["instability"]) == (1.154701, 2.309401)
    assert (row["n_models"], row["n_judged"]) == (2, 4)


def test_missing_is_left_out_and_never_counts_as_nought() -> None:
    present = sample({"a": [5.0, 7.0], "b": [9.0]})
    missing = sample({"a": [None], "b": [None, None], "c": [None]})
    assert scored(present + missing) == scored(present)


def test_a_model_with_too_few_judgments_does_not_count() -> None:
    # c has one judgment where two are wanted: its 1.0 is in n_judged and in nothing else.
    rows = sample({"a": [5.0, 7.0], "b": [9.0, 9.0], "c": [1.0]})
    (row,) = scored(rows, min_responses=2)
    (without,) = scored(sample({"a": [5.0, 7.0], "b": [9.0, 9.0]}))
    assert row == {**without, "n_judged": 5}
    assert row["quality"] == 7.5  # (6 + 9) / 2


def test_too_few_models_leave_nulls_and_a_reason() -> None:
    rows = sample({"a": [5.0, 7.0], "b": [9.0]})
    (row,) = scored(rows, min_models=2, min_responses=2)
    reason = "models with at least 2 judged responses: 1, needed: 2"
    assert row == {
        **dict.fromkeys(SCORES.names),
        "sample_id": "i",
        "n_models": 1,
        "n_judged": 3,
        "reason": reason,
    }
    (enough,) = scored(rows, min_models=1, min_responses=2)
    assert (enough["quality"], enough["reason"]) == (6.0, None)


def test_a_sample_nobody_judged_keeps_its_row() -> None:
    rows = [("b", "m", 5.0, True), ("b", "n", 7.0, True), ("c", "m", None, None)]
    found = scored(rows, ids=["a", "b", "c"], min_models=2)
    assert [row["quality"] for row in found] == [None, 6.0, None]
    assert [row["n_judged"] for row in found] == [0, 2, 0]
    assert found[0]["reason"] == "models with at least 1 judged responses: 0, needed: 2"


def test_without_any_judgment_or_any_sample() -> None:
    found = scored([], ids=["a", "b"])
    assert [row["quality"] for row in found] == [None, None]
    assert all(row["reason"] for row in found)
    assert scored([], ids=[]) == []


def test_rows_follow_the_ids_and_samples_do_not_mix() -> None:
    rows = [("x", "m", 2.0, True), ("y", "m", 9.0, False), ("x", "m", 4.0, True)]
    found = scored(rows, ids=["y", "x"])
    assert [(r["sample_id"], r["quality"], r["safe_rate"]) for r in found] == [
        ("y", 9.0, 0.0),
        ("x", 3.0, 1.0),
    ]


def test_a_judge_that_cannot_tell_safe_leaves_the_rate_null() -> None:
    (row,) = scored(sample({"a": [5.0], "b": [7.0]}, safe=None))
    assert row["safe_rate"] is None
    assert (row["quality"], row["reason"]) == (6.0, None)
    # a: one of its two judgments tells, and says safe; b: none does, so a alone is the rate.
    rows = [("i", "a", 5.0, True), ("i", "a", 5.0, None), ("i", "b", 7.0, None)]
    (row,) = scored(rows)
    assert row["safe_rate"] == 1.0


def test_the_safe_rate_is_of_models_that_count() -> None:
    rows = [("i", "a", 5.0, True), ("i", "a", 5.0, True), ("i", "b", 5.0, False)]
    (row,) = scored(rows, min_responses=2)
    assert row["safe_rate"] == 1.0


def test_scores_are_written_with_six_decimals() -> None:
    # Q = (1 + 1 + 2) / 3 = 4/3; U = √2/3 = 0.471404520…
    (row,) = scored(sample({"a": [1.0], "b": [1.0], "c": [2.0]}))
    assert row["quality"] == 1.333333
    assert row["instability"] == row["disagreement"] == 0.471405
    (row,) = scored(sample({"a": [1.0, 1.0, 2.0]}))
    assert row["self_instability"] == row["instability"] == 0.471405


def test_a_judgment_of_another_shard_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="of no sample of the shard"):
        scored([("elsewhere", "m", 5.0, True)], ids=["i"])


# --- Laws -----------------------------------------------------------------------------------------

score = st.one_of(st.integers(1, 10).map(float), st.floats(1, 10))
complete = st.tuples(st.integers(1, 6), st.integers(1, 5)).flatmap(
    lambda mk: st.lists(
        st.lists(score, min_size=mk[1], max_size=mk[1]), min_size=mk[0], max_size=mk[0]
    )
)
holed = st.lists(st.lists(st.one_of(st.none(), score), max_size=5), min_size=1, max_size=6)


def by_model(rows: list[list[Any]]) -> list[Judgment]:
    return sample({f"m{index}": row for index, row in enumerate(rows)})


@given(complete)
def test_u_is_the_standard_deviation_of_all_scores(rows: list[list[float]]) -> None:
    (row,) = scored(by_model(rows))
    everything = [value for model in rows for value in model]
    assert row["instability"] == pytest.approx(pstdev(everything), abs=1e-6)
    assert row["quality"] == pytest.approx(fmean(everything), abs=1e-6)
    parts = math.hypot(row["disagreement"], row["self_instability"])
    assert row["instability"] == pytest.approx(parts, abs=2e-6)


@given(holed)
def test_scores_keep_their_bounds(rows: list[list[float | None]]) -> None:
    (row,) = scored(by_model(rows), ids=["i"])
    if row["quality"] is None:
        assert row["reason"] is not None
        assert not any(value is not None for model in rows for value in model)
        return
    assert row["reason"] is None
    assert 1.0 <= row["quality"] <= 10.0
    assert 0.0 <= row["disagreement"] <= row["instability"] <= 4.5
    assert 0.0 <= row["self_instability"] <= row["instability"]
    assert 0.0 <= row["safe_rate"] <= 1.0
    for name in ("quality", "instability", "disagreement", "self_instability", "safe_rate"):
        assert row[name] == round(row[name], 6)


def test_the_bounds_are_reached() -> None:
    (row,) = scored(sample({"a": [1.0, 1.0], "b": [10.0, 10.0]}))
    assert (row["instability"], row["disagreement"], row["self_instability"]) == (4.5, 4.5, 0.0)
    (row,) = scored(sample({"a": [1.0, 10.0]}))
    assert (row["instability"], row["disagreement"], row["self_instability"]) == (4.5, 0.0, 4.5)
    assert scored(sample({"a": [10.0]}))[0]["quality"] == 10.0


@given(holed, st.randoms())
def test_the_order_of_judgments_does_not_matter(rows: list[list[Any]], random: Any) -> None:
    """Sums in another order may differ in the last bit, and so in the last decimal written."""
    ordered = by_model(rows)
    shuffled = ordered.copy()
    random.shuffle(shuffled)
    (first,), (second,) = scored(ordered, ids=["i"]), scored(shuffled, ids=["i"])
    for name in SCORES.names:
        if isinstance(first[name], float):
            assert second[name] == pytest.approx(first[name], abs=1.1e-6)
        else:
            assert second[name] == first[name]


@given(complete, st.integers(1, 9))
def test_equal_scores_have_no_instability_at_all(rows: list[list[float]], value: int) -> None:
    same = [[value + 0.1 for _ in model] for model in rows]
    (row,) = scored(by_model(same))
    assert (row["instability"], row["disagreement"], row["self_instability"]) == (0.0, 0.0, 0.0)
    assert row["quality"] == round(value + 0.1, 6)


# --- The same in plain SQL, written from the formulas ---------------------------------------------

SQL = """
WITH cells AS (
  SELECT sample_id, model, avg(score) AS mu, var_pop(score) AS v, count(score) AS n,
         avg(CASE WHEN score IS NOT NULL AND safe IS NOT NULL THEN safe::INT END) AS safe,
         var_samp(CASE WHEN score IS NOT NULL AND safe IS NOT NULL THEN safe::INT END) AS spread
  FROM judgments GROUP BY ALL HAVING count(score) >= $min_responses
)
SELECT sample_id, round(avg(mu), 6) AS quality, round(stddev_pop(mu), 6) AS disagreement,
       round(sqrt(avg(v)), 6) AS self_instability,
       round(sqrt(var_pop(mu) + avg(v)), 6) AS instability, round(avg(safe), 6) AS safe_rate,
       round(avg(spread), 6) AS safety_spread, count(*) AS n_models
FROM cells GROUP BY sample_id HAVING count(*) >= $min_models
"""


def random_judgments(seed: int, samples: int = 300) -> list[Judgment]:
    """Seven models of five responses; about a fifth of judgments missing, and some models whole."""
    rng = np.random.default_rng(seed)
    rows: list[Judgment] = []
    for i in range(samples):
        lost = rng.random() * 0.5
        for m in range(7):
            gone = rng.random() < 0.1
            for _ in range(5):
                present = not gone and rng.random() > lost
                value = float(rng.integers(3, 31)) / 3 if present else None
                safe = bool(rng.random() < 0.7) if present and rng.random() < 0.95 else None
                rows.append((f"s{i:03d}", f"m{m}", value, safe))
    return rows


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("min_models", "min_responses"), [(1, 1), (5, 3)])
def test_plain_sql_gives_the_same_scores_and_the_same_box(
    seed: int, min_models: int, min_responses: int
) -> None:
    rows = random_judgments(seed)
    ours = {r["sample_id"]: r for r in scored(rows, None, min_models, min_responses)}
    limits = {"min_models": min_models, "min_responses": min_responses}
    with duckdb.connect() as database:
        database.register("judgments", judgments(rows))
        found = database.execute(SQL, limits)
        names = [column[0] for column in found.description]
        theirs = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    assert {r["sample_id"] for r in theirs} == {i for i, r in ours.items() if r["reason"] is None}
    assert 0 < len(theirs) <= 300
    for row in theirs:
        mine = ours[row["sample_id"]]
        for name, value in row.items():
            close = mine[name] == value or abs(mine[name] - value) <= 1.000001e-6
            assert close, (row["sample_id"], name)
    # A box whose edges are written scores, so that ties at the edges are put to the test.
    quality = sorted(row["quality"] for row in theirs)
    instability = sorted(row["instability"] for row in theirs)
    fifth = len(theirs) // 5
    box = Box(quality[fifth], quality[-fifth], instability[len(theirs) // 2])
    chosen = {i for i, r in ours.items() if box.holds(r["quality"], r["instability"])}
    with duckdb.connect() as database:
        database.register("scores", pa.Table.from_pylist(list(ours.values()), schema=SCORES))
        by_sql = database.execute(
            "SELECT sample_id FROM scores WHERE quality BETWEEN ? AND ? AND instability >= ?",
            [box.q_low, box.q_high, box.u_min],
        ).fetchall()
    assert chosen == {i for (i,) in by_sql}
    assert 0 < len(chosen) < len(theirs)
