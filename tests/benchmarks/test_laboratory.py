"""What a laboratory's start policy knows, from unsafe shares whose reliability is known."""

import math

import numpy as np
import pytest

from tests.benchmarks.scripts import FOLDER, script


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script finds the others beside it."""
    monkeypatch.syspath_prepend(FOLDER)


@pytest.mark.parametrize(
    ("shares", "reliability"),
    [
        # K = 2, m = 1, s² = 1: 2 × (1 − 1 × 1 / (2 × 1)) = 1: two answers always agree
        ([0.0, 1.0], 1.0),
        # m = 1, s² = 1/2: 2 × (1 − 1 × 1 / (2 × 1/2)) = 0: as a coin would have it
        ([0.0, 0.5, 0.5, 1.0], 0.0),
        # m = 1, s² = 2/3: 2 × (1 − 3/4) = 1/2
        ([0.0, 0.5, 1.0], 0.5),
    ],
)
def test_reliability_by_hand(shares: list[float], reliability: float) -> None:
    told = script("laboratory").shape(np.array(shares), 2)
    assert told.reliability == pytest.approx(reliability)
    assert told.unsafe == pytest.approx(0.5)
    assert told.known == pytest.approx(shares.count(0.0) / len(shares))
    assert told.missed == pytest.approx(shares.count(1.0) / len(shares))


def test_reliability_is_that_of_halves_of_many_answers() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice([0.05, 0.5, 0.95], size=4000)
    drawn = rng.random((4000, 8)) < truth[:, None]
    halves = np.corrcoef(drawn[:, :4].mean(1), drawn[:, 4:].mean(1))[0, 1]
    stepped_up = 2 * halves / (1 + halves)
    told = script("laboratory").shape(drawn.mean(1), 8)
    assert told.reliability == pytest.approx(stepped_up, abs=0.01)


def test_where_all_are_alike_there_is_no_reliability() -> None:
    assert math.isnan(script("laboratory").shape(np.zeros(5), 8).reliability)
