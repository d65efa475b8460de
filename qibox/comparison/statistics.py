"""What an experiment's replicates say, each question one function over numpy arrays.

A replicate is one repetition of all arms under the same draws, so two arms are compared by the
differences within replicates. Shares are in [0, 1], as in :data:`qibox.tables.RATES`; a difference
of two is in [-1, 1]. Arrays hold no NaN: a replicate that lacks an arm is left out before.

Which interval: Student's t of the paired differences is the one that is reported, and
:func:`nested_interval`, studentised, stands beside it where there are samples; both hold at few
replicates. A percentile bootstrap does not: at five replicates it covers .83 where it says .95.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

ALPHA = 0.05  # two-sided, of every test
POWER = 0.8
LEAST_REPLICATES = 6  # below, not even differences of one sign are rarer than ALPHA: 2 / 2^5 > .05
RESAMPLES = 9999
SEED = 0


@dataclass(frozen=True)
class Difference:
    """One arm less another, over replicates that have both."""

    n: int  # replicates
    mean: float
    low: float  # of the 95 % interval; NaN below two replicates
    high: float
    p: float  # two-sided; NaN likewise
    spread: float  # standard deviation of the differences between replicates
    correlation: float  # of the two arms over replicates; NaN where one does not vary


def paired_difference(arm: Floats, other: Floats) -> Difference:
    """Compare two arms over replicates by the paired t test (Student 1908).

    Args:
        arm, other: one value a replicate, in the same order.  # (n,)

    Differences that are all equal have an interval of no width and p = 0, or p = 1 where they are
    0: nothing then varies that a test could go by.
    """
    from scipy import stats

    differences = arm - other
    n, mean = len(differences), float(differences.mean()) if len(differences) else np.nan
    if n < 2:
        return Difference(n, mean, np.nan, np.nan, np.nan, np.nan, np.nan)
    spread = float(differences.std(ddof=1))
    varies = arm.std() > 0 and other.std() > 0
    correlation = float(np.corrcoef(arm, other)[0, 1]) if varies else np.nan
    if np.ptp(differences) == 0:
        return Difference(n, mean, mean, mean, float(mean == 0), 0.0, correlation)
    found = stats.ttest_1samp(differences, 0.0)
    low, high = found.confidence_interval(1 - ALPHA)
    p = float(found.pvalue)
    return Difference(n, mean, float(low), float(high), p, spread, correlation)


def permutation_p(arm: Floats, other: Floats) -> float:
    """Two-sided p of the mean difference when the arms' names are exchanged within replicates.

    Fisher's randomisation test; exact up to 13 replicates, beyond over RESAMPLES draws of a fixed
    seed.  # (n,), (n,) → in (0, 1]; NaN below two replicates
    """
    from scipy import stats

    if len(arm) < 2:
        return np.nan
    found = stats.permutation_test(
        (arm, other),
        lambda one, two, axis: np.mean(one - two, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(SEED),
    )
    return float(min(1.0, found.pvalue))


def nested_interval(differences: Sequence[Floats], resamples: int = 1999) -> tuple[float, float]:
    """95 % interval of the mean difference, by replicates and samples drawn anew, studentised.

    The bootstrap-t (Efron & Tibshirani 1993, chapter 12.5) over two levels: replicates are drawn
    with replacement and, in each, its samples. Draws come from a fixed seed.

    Args:
        differences: for each replicate one number a sample, such as the difference of two arms'
            shares of safe answers.  # n arrays, each (samples,)

    Returns:
        Low and high; NaN below two replicates or where these do not differ.
    """
    n = len(differences)
    means = np.array([each.mean() for each in differences])
    if n < 2 or means.std() == 0:
        return np.nan, np.nan
    rng = np.random.default_rng(SEED)
    drawn = rng.integers(n, size=(resamples, n))
    values = np.empty((resamples, n))
    for place, each in enumerate(differences):  # each time with other samples
        values[drawn == place] = _means_anew(each, int((drawn == place).sum()), rng)
    errors = values.std(axis=1, ddof=1) / np.sqrt(n)
    known = errors > 0
    t = (values.mean(axis=1)[known] - means.mean()) / errors[known]
    below, above = np.quantile(t, [ALPHA / 2, 1 - ALPHA / 2])
    error = means.std(ddof=1) / np.sqrt(n)
    return float(means.mean() - above * error), float(means.mean() - below * error)


def _means_anew(values: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Means of so many draws of n of the n values.  # (n,) → (draws,)"""
    n, at_once = len(values), max(1, 4_000_000 // len(values))
    parts = [
        values[rng.integers(n, size=(min(at_once, draws - start), n))].mean(axis=1)
        for start in range(0, draws, at_once)
    ]
    return np.concatenate(parts)


def holm(ps: Sequence[float]) -> list[float]:
    """P values of several tests, adjusted so that all together err with ALPHA (Holm 1979).

    One that is NaN was no test and stays so.
    """
    from statsmodels.stats.multitest import multipletests

    known = [place for place, p in enumerate(ps) if not np.isnan(p)]
    adjusted = [float("nan")] * len(ps)
    if known:
        found = multipletests([ps[place] for place in known], ALPHA, method="holm")[1]
        for place, p in zip(known, found, strict=True):
            adjusted[place] = float(p)
    return adjusted


def non_inferior_p(differences: Floats, margin: float) -> float:
    """One-sided p that the mean difference is below ``-margin``: small, and the arm is no worse.

    A t test of differences + margin against 0.  # (n,) → [0, 1]; NaN below two replicates
    """
    from scipy import stats

    if len(differences) < 2:
        return np.nan
    if np.ptp(differences) == 0:
        return float(differences[0] <= -margin)
    return float(stats.ttest_1samp(differences, -margin, alternative="greater").pvalue)


def area_under_curve(steps: Sequence[float], values: Floats) -> float:
    """Mean height of a learning curve: the area by the trapezoidal rule over its span of steps.

    Args:
        steps: rising.  # (checkpoints,)
        values: at each.  # (checkpoints,)

    Returns:
        In the values' unit; NaN below two checkpoints.
    """
    from scipy import integrate

    if len(steps) < 2:
        return np.nan
    return float(integrate.trapezoid(values, steps) / (steps[-1] - steps[0]))


def smallest_effect(spread: float, n: int) -> float:
    """Mean difference that n replicates find with POWER, by the paired t test at ALPHA.

    Args:
        spread: standard deviation of the differences between replicates.
        n: replicates; NaN below two.
    """
    from statsmodels.stats.power import TTestPower

    if n < 2 or np.isnan(spread):
        return np.nan
    return float(TTestPower().solve_power(None, nobs=n, alpha=ALPHA, power=POWER)) * spread


def replicates_needed(spread: float, effect: float) -> int:
    """Replicates at which a mean difference of ``effect`` is found with POWER; at least six."""
    n = LEAST_REPLICATES
    while smallest_effect(spread, n) > effect:
        n += 1
    return n
