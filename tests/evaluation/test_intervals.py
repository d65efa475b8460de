import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qibox.evaluation import intervals as module
from qibox.evaluation.intervals import COVERAGE, RESAMPLES, Floats, intervals, resampled_means


def column(*values: float) -> Floats:
    return np.array(values, float)


def test_an_empty_column_has_no_value_and_no_interval() -> None:
    assert np.isnan(intervals([column()])).all()
    assert intervals([]).shape == (0, 3)


def test_an_interval_of_equal_samples_is_a_point() -> None:
    assert intervals([column(0.25), column(0.5, 0.5)]).tolist() == [[0.25] * 3, [0.5] * 3]


def test_an_interval_is_near_the_normal_one() -> None:
    # 100 samples, half 0 and half 1: standard error 0.05, so 0.5 ± 1.96 × 0.05.
    (found,) = intervals([column(*(i % 2 for i in range(100)))])
    assert found == pytest.approx([0.5, 0.402, 0.598], abs=0.02)


def test_an_interval_is_that_of_drawing_rows_one_resample_after_another() -> None:
    values = column(*range(7)) ** 2
    draws = np.random.default_rng(0).integers(7, size=(RESAMPLES, 7))
    low, high = np.percentile(values[draws].mean(axis=1), COVERAGE)
    assert intervals([values])[0] == pytest.approx([13, low, high])  # 91 / 7 = 13


def test_columns_have_the_intervals_they_have_alone() -> None:
    rng = np.random.default_rng(1)
    columns = [rng.random(size) for size in (3, 0, 8, 3, 1, 8)]
    alone = [intervals([each])[0] for each in columns]
    assert np.allclose(intervals(columns), alone, equal_nan=True)


@pytest.mark.parametrize("at_once", [1, 10, 999])
def test_draws_are_the_same_in_small_pieces(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).random((9, 2))
    whole = resampled_means(values)
    monkeypatch.setattr(module, "DRAWS_AT_ONCE", at_once)
    assert np.allclose(resampled_means(values), whole)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_an_interval_holds_its_value_and_stays_within_the_values(values: list[float]) -> None:
    (found,) = intervals([column(*values)])
    value, low, high = found
    assert min(values) - 1e-9 <= low <= value + 1e-9
    assert value - 1e-9 <= high <= max(values) + 1e-9
