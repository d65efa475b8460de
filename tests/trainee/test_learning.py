"""A policy's profile, sample by sample: shrinkage and chance of spread, by hand and by drawing."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from qibox.errors import UsageError
from qibox.run.directory import Run
from qibox.selection.choose import choose
from qibox.selection.request import OPEN_BOX, Steering, by_box
from qibox.tables import JUDGMENTS
from qibox.trainee.learning import beta_prior, chance_of_spread, learning, profiled
from tests.runs import sample, write_run


def profile(run: Run, policy: str, unsafe: dict[str, list[bool | None]]) -> None:
    """Write what a policy answered: of each sample, which answers were unsafe; null: not told."""
    rows = [
        {
            "sample_id": name,
            "judge": "hash",
            "model": policy,
            "k": k,
            "score": None if bad is None else 2.0 if bad else 9.0,
            "answer_score": None if bad is None else 2.0 if bad else 9.0,
            "safe": None if bad is None else not bad,
            "reason": "no response" if bad is None else None,
        }
        for name, answers in unsafe.items()
        for k, bad in enumerate(answers)
    ]
    table = pa.Table.from_pylist(
        [{name: row.get(name) for name in JUDGMENTS.names} for row in rows], schema=JUDGMENTS
    )
    path = f"profiles/{policy}/judgments/judge=hash/model={policy}/shard-00000.parquet"
    run.storage.write_table(path, table)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    kinds = {"a": "implicit", "b": "implicit", "c": "implicit", "d": "none", "e": "none"}
    return write_run(tmp_path / "run", [sample(i, 5, 1, risk=risk) for i, risk in kinds.items()])


def test_the_chance_of_spread_is_what_drawing_groups_gives() -> None:
    a, b = np.array([1.0, 2.0, 30.0, 0.1]), np.array([1.0, 8.0, 1.0, 0.1])
    found = chance_of_spread(a, b, 5)
    # Beta(1, 1): E[p^5] = 1/6 on either side, so 1 − 2/6.
    assert found[0] == pytest.approx(2 / 3)
    rng = np.random.default_rng(0)
    for row in range(4):
        p = rng.beta(a[row], b[row], 100_000)
        unsafe = rng.binomial(5, p)
        assert found[row] == pytest.approx(((unsafe > 0) & (unsafe < 5)).mean(), abs=0.01)
    assert chance_of_spread(a, b, 1) == pytest.approx(np.zeros(4))


def test_a_prior_is_as_strong_as_samples_are_alike() -> None:
    told = np.full(400, 8.0)
    rng = np.random.default_rng(0)
    alike = rng.binomial(8, 0.3, 400).astype(float)
    alpha, beta = beta_prior(alike, told)
    assert alpha / (alpha + beta) == pytest.approx(0.3, abs=0.02)
    assert alpha + beta > 30
    apart = rng.binomial(8, rng.beta(0.6, 1.4, 400)).astype(float)
    alpha, beta = beta_prior(apart, told)
    assert alpha + beta == pytest.approx(2.0, rel=0.3)
    for one in (0.0, 8.0):  # all safe or all unsafe: no division by nothing
        alpha, beta = beta_prior(np.full(5, one), np.full(5, 8.0))
        assert min(alpha, beta) > 0
    assert min(beta_prior(np.array([1.0]), np.array([1.0]))) > 0


def test_what_was_not_told_is_left_out_and_shares_are_shrunk_towards_their_kind(run: Run) -> None:
    answers = {
        "a": [True, True, False, False],
        "b": [True, True, True, True],
        "c": [False, False, False, None],
        "d": [False] * 4,
        "e": [None] * 4,
    }
    profile(run, "p", answers)
    rows = learning(run, "p", 5).to_pylist()
    found = {row["sample_id"]: row for row in rows}
    assert set(found) == {"a", "b", "c", "d"}
    shares = {name: row["trainee_unsafe"] for name, row in found.items()}
    assert 0 < shares["d"] < shares["c"] < shares["a"] < shares["b"] < 1
    spreads = {name: row["trainee_spread"] for name, row in found.items()}
    assert max(spreads, key=spreads.__getitem__) == "a"
    assert found["a"]["trainee_mean"] == 5.5


def test_a_selection_is_ranked_by_the_profile_and_asks_for_it_by_name(run: Run) -> None:
    profile(run, "p", {"a": [True, False], "b": [True, True], "d": [False, False]})
    box = OPEN_BOX.model_copy(update={"rank": "trainee", "limit": 1})
    choice = choose(run, by_box(box))
    assert choice.chosen.to_pylist() == ["a"]
    assert (choice.policy, choice.unranked) == ("p", 2)
    condition = Steering(where="trainee_mean < 3")
    assert choose(run, by_box(OPEN_BOX, steering=condition)).chosen.to_pylist() == ["b"]
    profile(run, "q", {"d": [True, False]})
    with pytest.raises(
        UsageError, match=r"several policies were profiled on .* \(p, q\): say which"
    ):
        choose(run, by_box(box))
    again = by_box(box, steering=Steering(policy="q"))
    assert choose(run, again).chosen.to_pylist() == ["d"]
    with pytest.raises(UsageError, match=r"policy 'r' was profiled on .* \(there are p, q\)"):
        profiled(run, "r")
