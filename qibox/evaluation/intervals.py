"""A mean over samples with its 95 % interval, by the percentile bootstrap.

Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Samples are resampled, not
responses, since the responses to one sample are alike. Draws come from a fixed seed, so the same
values in the same order give the same interval.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

RESAMPLES = 2000
COVERAGE = (2.5, 97.5)  # percentiles of the interval
SEED = 0
DRAWS_AT_ONCE = 1_000_000  # bounds memory: about 32 bytes each


def intervals(columns: Sequence[Floats]) -> Floats:
    """Return value, low and high of each column's mean, one row a column.  # (len(columns), 3)

    A column has one number for each sample, none of them NaN. All three are NaN for an empty
    column and equal for a single sample. Columns of equal length share their draws, which is what
    costs time.
    """
    found = np.full((len(columns), 3), np.nan)
    by_size: dict[int, list[int]] = defaultdict(list)
    for at, column in enumerate(columns):
        by_size[len(column)].append(at)
    for size, places in by_size.items():
        if size:
            values = np.stack([columns[at] for at in places], axis=1)  # (samples, columns)
            found[places, 0] = values.mean(axis=0)
            found[places, 1:] = np.percentile(resampled_means(values), COVERAGE, axis=0).T
    return found


def resampled_means(values: Floats) -> Floats:
    """Means of RESAMPLES draws of n of the n rows.  # (n, columns) → (RESAMPLES, columns)

    Each draw is written as how often it took each row, so that all columns' means are one product
    of matrices.
    """
    n = len(values)
    rng = np.random.default_rng(SEED)
    means: npt.NDArray[Any] = np.empty((RESAMPLES, values.shape[1]))
    at_once = max(1, DRAWS_AT_ONCE // n)
    for start in range(0, RESAMPLES, at_once):
        draws = min(at_once, RESAMPLES - start)
        taken = rng.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
        times = np.bincount(taken.ravel(), minlength=draws * n).reshape(draws, n)
        means[start : start + draws] = times.astype(np.float64) @ values / n
    return means
