"""Quality and instability of resampled panels: models drawn anew, and each one's answers.

The bootstrap over both levels (Davison & Hinkley, Bootstrap Methods and their Application, 1997,
section 3.8): M models are drawn with replacement from the M there are, and for each drawn one K of
its K answers. A resample is a matrix of how often it took answer k of model m; the same resamples
serve all samples, so that theirs are products of matrices. With S0, S1, S2 the number, the sum and
the sum of squares of a model's drawn scores that are present:

    Q = mean over drawn m of S1/S0,  U² = mean over drawn m of S2/S0 − Q²,

each model counting as often as it was drawn, which is what :mod:`qibox.scores` makes of the drawn
answers. Drawing again shrinks U: a resample's is therefore multiplied by what brings the mean
square of all of a sample's back to its own U².
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 400
HIGHEST = 4.5  # U cannot be more


@dataclass(frozen=True)
class Resampled:
    """Scores of each sample in each resample; NaN where a resample drew nothing of a sample."""

    quality: Floats  # (n, B), [1, 10]
    instability: Floats  # (n, B), [0, 4.5]


def draws(models: int, answers: int, resamples: int, seed: int) -> Floats:
    """How often each resample takes each answer: (B, M, K), whole numbers."""
    rng = np.random.default_rng(seed)
    picked = rng.integers(models, size=(resamples, models))  # which models, B × M
    return _taken(rng, picked, models, answers, answers)


def draws_of_answers(models: int, answers: int, taken: int, resamples: int, seed: int) -> Floats:
    """As :func:`draws`, but every model once and ``taken`` answers of each: (B, M, K)."""
    rng = np.random.default_rng((seed, taken))
    picked = np.tile(np.arange(models), (resamples, 1))
    return _taken(rng, picked, models, answers, taken)


def _taken(
    rng: np.random.Generator, picked: npt.NDArray[np.int64], models: int, answers: int, taken: int
) -> Floats:
    resamples, drawn = picked.shape
    which = rng.integers(answers, size=(resamples, drawn, taken))
    cell = (np.arange(resamples)[:, None, None] * models + picked[:, :, None]) * answers + which
    counts = np.bincount(cell.ravel(), minlength=resamples * models * answers)
    return counts.reshape(resamples, models, answers).astype(np.float64)


def resampled(scores: Floats, counts: npt.NDArray[np.bool_], taken: Floats) -> Resampled:
    """Scores of each sample under each resample.

    Args:
        scores: (n, M, K), NaN where missing.
        counts: (n, M), models that count: they have enough answers.
        taken: (B, M, K), as :func:`draws` makes them.
    """
    there = ~np.isnan(scores) & counts[:, :, None]
    plain = np.where(there, scores, 0.0)
    size = (len(scores), len(taken))
    weight, first, second = np.zeros(size), np.zeros(size), np.zeros(size)  # over models, (n, B)
    for model in range(scores.shape[1]):
        by = taken[:, model].T  # (K, B)
        times = taken[:, model].sum(axis=1) / taken.sum(axis=(1, 2)) * taken.shape[1]  # (B,)
        present = there[:, model].astype(np.float64) @ by  # (n, B)
        share = np.where(present > 0, times, 0.0)
        scale = np.divide(share, present, out=np.zeros(size), where=present > 0)
        weight += share
        first += scale * (plain[:, model] @ by)
        second += scale * (plain[:, model] ** 2 @ by)
    weight[weight == 0] = np.nan
    quality = first / weight
    return Resampled(quality, np.sqrt(np.maximum(second / weight - quality**2, 0.0)))


def recentred(found: Resampled, instability: Floats) -> Resampled:
    """The same with each sample's resampled U brought back to its own, ``instability`` (n,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rms = np.sqrt(np.nanmean(found.instability**2, axis=1))
        by = np.where(rms > 0, instability / rms, 1.0)
    spread = np.minimum(found.instability * by[:, None], HIGHEST)
    return Resampled(found.quality, spread)
