"""Statistics of replicates: by hand, beside scipy, and on simulated nulls."""

import numpy as np
import pytest
from scipy import stats

from qibox.comparison.statistics import (
    ALPHA,
    LEAST_REPLICATES,
    area_under_curve,
    holm,
    nested_interval,
    non_inferior_p,
    paired_difference,
    permutation_p,
    replicates_needed,
    smallest_effect,
)


def test_a_paired_difference_by_hand() -> None:
    found = paired_difference(np.array([0.8, 0.9, 0.7, 0.8]), np.array([0.7, 0.7, 0.6, 0.8]))
    # differences .1 .2 .1 0: mean .1, variance (0 + .01 + 0 + .01) / 3, error sqrt(.02 / 3) / 2 =
    # .040825; t = 2.4495 on 3 degrees; t(.975, 3) = 3.182446
    assert (found.n, found.mean) == (4, pytest.approx(0.1))
    assert found.spread == pytest.approx(0.0816497, abs=1e-6)
    assert (found.low, found.high) == (
        pytest.approx(0.1 - 3.182446 * 0.0408248, abs=1e-6),
        pytest.approx(0.1 + 3.182446 * 0.0408248, abs=1e-6),
    )
    assert found.p == pytest.approx(0.0917, abs=1e-4)


def test_a_paired_difference_is_scipys() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(0.8, 0.1, 12), rng.normal(0.7, 0.1, 12)
    found, theirs = paired_difference(one, other), stats.ttest_rel(one, other)
    interval = theirs.confidence_interval()
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.correlation == pytest.approx(stats.pearsonr(one, other).statistic)


def test_too_few_or_equal_replicates_claim_nothing() -> None:
    one = paired_difference(np.array([0.5]), np.array([0.4]))
    assert one.mean == pytest.approx(0.1)
    assert np.isnan([one.low, one.high, one.p]).all()
    same = paired_difference(np.full(6, 0.5), np.full(6, 0.5))
    assert (same.mean, same.p, same.spread) == (0.0, 1.0, 0.0)
    assert np.isnan(permutation_p(np.array([1.0]), np.array([0.0])))
    assert np.isnan(non_inferior_p(np.array([0.1]), 0.02))
    assert np.isnan(nested_interval([np.ones(3)])).all()


def test_permutation_by_hand() -> None:
    # six differences of one sign: of 2^6 sign flips 2 are as extreme
    ones = np.array([0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    assert permutation_p(ones, np.zeros(6)) == pytest.approx(2 / 64)
    # three: 2 of 8; so below six replicates nothing can be significant
    assert permutation_p(ones[:3], np.zeros(3)) == pytest.approx(2 / 8)
    assert 2 / 2 ** (LEAST_REPLICATES - 1) > ALPHA > 2 / 2**LEAST_REPLICATES


def test_holm_by_hand() -> None:
    # sorted .01 .03 .04 → ×3 .03, ×2 .06, ×1 .04 raised to .06
    assert holm([0.04, 0.01, float("nan"), 0.03])[:2] == pytest.approx([0.06, 0.03])
    assert holm([0.04, 0.01, float("nan"), 0.03])[3] == pytest.approx(0.06)
    assert np.isnan(holm([float("nan")])).all()


def test_non_inferiority_by_hand() -> None:
    differences = np.array([0.01, -0.01, 0.0, 0.0])
    # mean 0, error .008165 / 2 = .0040825; (0 + .02) / .0040825 = 4.899 on 3 degrees
    assert non_inferior_p(differences, 0.02) == pytest.approx(stats.t.sf(4.8990, 3), abs=1e-5)
    assert non_inferior_p(differences - 0.1, 0.02) > 0.99


def test_the_area_is_the_mean_height() -> None:
    # (.5 + .7) / 2 · 10 + (.7 + .9) / 2 · 30 = 6 + 24 = 30, over 40 steps
    assert area_under_curve([10, 20, 50], np.array([0.5, 0.7, 0.9])) == pytest.approx(0.75)
    assert np.isnan(area_under_curve([10], np.array([0.5])))


def test_the_smallest_effect_is_found_four_times_out_of_five() -> None:
    effect = smallest_effect(0.06, 12)
    beyond = stats.t.ppf(1 - ALPHA / 2, 11)  # power by the noncentral t
    shifted = stats.nct(11, effect / (0.06 / 12**0.5))
    assert shifted.sf(beyond) + shifted.cdf(-beyond) == pytest.approx(0.8, abs=1e-6)
    assert smallest_effect(0.06, replicates_needed(0.06, 0.05)) <= 0.05
    assert smallest_effect(0.06, replicates_needed(0.06, 0.05) - 1) > 0.05
    assert replicates_needed(0.001, 0.05) == LEAST_REPLICATES


def simulated(n: int, times: int, seed: int) -> tuple[float, float, float]:
    """False positives of both tests and the t interval's coverage over nulls."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(times):
        shared = rng.normal(0, 0.03, n)  # of a replicate, in both arms
        one, other = (0.8 + shared + rng.normal(0, 0.03, n) for _ in range(2))
        t = paired_difference(one, other)
        found.append((t.p < ALPHA, t.low <= 0 <= t.high, t.p))
    positive, covered, _ = np.mean(found, axis=0)
    return float(positive), float(covered), float(np.mean([p < 0.5 for *_, p in found]))


def test_at_twenty_replicates_nulls_are_nulls() -> None:
    positive, covered, half = simulated(20, 2000, 5)
    assert 0.03 <= positive <= 0.07
    assert 0.93 <= covered <= 0.97
    assert 0.45 <= half <= 0.55


def test_permutation_errs_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    ps = np.array([permutation_p(rng.normal(size=9), rng.normal(size=9)) for _ in range(500)])
    assert 0.03 <= (ps < ALPHA).mean() <= 0.07


@pytest.mark.parametrize("n", [6, 20])
def test_the_nested_interval_covers(n: int) -> None:
    rng = np.random.default_rng(n)
    covered = 0
    for _ in range(300):
        low, high = nested_interval([rng.normal(m, 0.4, 80) for m in rng.normal(0, 0.04, n)], 399)
        covered += low <= 0 <= high
    assert 0.92 <= covered / 300 <= 0.98
