"""Resampled scores: against numpy on the drawn answers themselves, and where truth is known."""

import numpy as np
import pytest

from qibox.confidence.bootstrap import draws, draws_of_answers, recentred, resampled


def plainly(scores: np.ndarray, taken: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation of the drawn answers of one sample, with all there."""
    quality, instability = [], []
    for times in taken.astype(int):
        drawn = np.repeat(scores.ravel(), times.ravel())
        quality.append(float(drawn.mean()))
        instability.append(float(drawn.std()))
    return quality, instability


def test_a_resample_is_what_scores_of_the_drawn_answers_are() -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(1, 11, (4, 3, 5)).astype(float)  # 4 samples, 3 models, K = 5
    taken = draws(3, 5, 20, seed=3)
    found = resampled(scores, np.ones((4, 3), bool), taken)
    for row in range(4):
        quality, instability = plainly(scores[row], taken)
        assert found.quality[row] == pytest.approx(quality)
        assert found.instability[row] == pytest.approx(instability, abs=1e-7)


def test_each_resample_draws_as_many_models_and_answers() -> None:
    taken = draws(7, 5, 50, seed=0)
    assert taken.shape == (50, 7, 5)
    assert (taken.sum(axis=(1, 2)) == 35).all()
    assert set(np.unique(taken.sum(axis=2))) <= {0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0}
    assert (draws_of_answers(7, 5, 3, 10, seed=0).sum(axis=2) == 3).all()
    assert (taken == draws(7, 5, 50, seed=0)).all()
    assert (taken != draws(7, 5, 50, seed=1)).any()


def test_missing_answers_are_left_out_and_each_model_weighs_the_same() -> None:
    # Model 0 has 4 and 8, model 1 one answer of 10, model 2 does not count.
    scores = np.array([[[4.0, 8.0], [10.0, np.nan], [1.0, 1.0]]])
    counts = np.array([[True, True, False]])
    once = np.ones((1, 3, 2))  # every answer once
    found = resampled(scores, counts, once)
    # Q = (6 + 10)/2 = 8; U² = (40 + 100)/2 − 64 = 6
    assert found.quality[0, 0] == pytest.approx(8)
    assert found.instability[0, 0] == pytest.approx(6**0.5)
    # only the missing answer of model 1 is drawn, and model 0's second
    lone = np.zeros((1, 3, 2))
    lone[0, 0, 1], lone[0, 1, 1] = 2, 2
    assert resampled(scores, counts, lone).quality[0, 0] == pytest.approx(8)
    none = np.zeros((1, 3, 2))
    none[0, 2] = 1
    assert np.isnan(resampled(scores, counts, none).quality[0, 0])


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """200 panels of twelve models from one population, whose mean is known to be 5.5."""
    rng = np.random.default_rng(0)
    models = rng.normal(5.5, 1.0, (200, 12, 1))
    scores = models + rng.normal(0, 1.0, (200, 12, 5))
    found = resampled(scores, np.ones((200, 12), bool), draws(12, 5, 400, seed=0))
    low, high = np.percentile(found.quality, (2.5, 97.5), axis=1)
    covered = ((low <= 5.5) & (high >= 5.5)).mean()
    assert 0.86 <= covered <= 0.98  # percentile intervals of twelve are a little narrow


def test_resampled_instability_is_brought_back_to_the_samples_own() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(1, 11, (50, 7, 5)).astype(float)
    own = scores.reshape(50, -1).std(axis=1)
    found = resampled(scores, np.ones((50, 7), bool), draws(7, 5, 400, seed=0))
    assert (np.sqrt((found.instability**2).mean(axis=1)) < own).all()  # drawing again shrinks it
    back = recentred(found, own)
    assert np.sqrt((back.instability**2).mean(axis=1)) == pytest.approx(own, rel=0.02)
    assert back.instability.max() <= 4.5
