"""Kappa, alpha, errors and rank correlations against values derived by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qibox.audit.agreement import accuracy, alpha, correlations, errors, kappa

# Cohen's textbook case: both yes 20, first alone 5, second alone 10, both no 15.
TABLE = {(1, 1): 20, (1, 0): 5, (0, 1): 10, (0, 0): 15}


def test_kappa_by_hand() -> None:
    # p_o = 35/50 = .7; p_e = (25·30 + 25·20) / 50² = .5; (.7 − .5) / (1 − .5)
    assert accuracy(TABLE) == 0.7
    assert kappa(TABLE) == pytest.approx(0.4, abs=1e-15)


@given(st.lists(st.integers(0, 30), min_size=9, max_size=9).filter(any))
def test_kappa_is_that_of_statsmodels(cells: list[int]) -> None:
    from statsmodels.stats.inter_rater import cohens_kappa

    table = np.array(cells).reshape(3, 3)
    found = kappa({(i, j): int(table[i, j]) for i in range(3) for j in range(3) if table[i, j]})
    if found is not None:
        assert found == pytest.approx(cohens_kappa(table, return_results=False), abs=1e-9)


def test_alpha_by_hand() -> None:
    # Coincidences: yes-yes 40, no-no 30, yes-no 15 each way; 55 yes and 45 no of 100.
    # D_o = 30 / 100; D_e = 2·55·45 / (100·99) = .5
    assert alpha(TABLE, "nominal") == pytest.approx(1 - 0.3 / 0.5)


def test_alpha_of_degrees_weighs_how_far_apart() -> None:
    near, far = {(0, 0): 5, (3, 3): 5, (0, 1): 2, (1, 1): 5}, {(0, 0): 5, (3, 3): 5, (0, 3): 2}
    far |= {(1, 1): 5}
    assert accuracy(near) == accuracy(far)
    ordinal = [alpha(counts, "ordinal") for counts in (near, far)]
    assert ordinal[0] is not None
    assert ordinal[1] is not None
    assert ordinal[0] > ordinal[1]


def test_many_answers_are_counted_in_proportion() -> None:
    many = {pair: 100_000 * n for pair, n in TABLE.items()}
    assert kappa(many) == pytest.approx(0.4)
    expected = 1 - 0.3 / (2 * 0.55 * 0.45)  # n − 1 is as good as n
    assert alpha(many, "nominal") == pytest.approx(expected, abs=1e-5)


@given(st.dictionaries(st.sampled_from([0, 1, 2, 3]), st.integers(1, 50), min_size=1))
def test_with_itself_a_judge_agrees_or_never_varies(values: dict[int, int]) -> None:
    counts = {(value, value): n for value, n in values.items()}
    expected = 1.0 if len(values) > 1 else None
    assert accuracy(counts) == 1
    assert kappa(counts) == expected
    assert alpha(counts, "nominal") == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({(1, 1): 7}, None),  # chance alone always agrees
        ({(1, 0): 7}, 0.0),  # never: p_o = p_e = 0
        ({(1, 1): 5, (1, 0): 5}, 0.0),  # the first never varies: as by chance
    ],
)
def test_a_flag_that_never_varies(counts: dict[tuple[int, int], int], expected: object) -> None:
    assert kappa(counts) == expected


def test_errors_by_hand() -> None:
    first, second = np.array([1.0, 4.0, 6.0, 9.0]), np.array([2.0, 4.0, 9.0, 8.0])
    found = errors(first, second)
    assert found["mean error"] == 0.75  # (1 + 0 + 3 − 1) / 4
    assert found["absolute error"] == 1.25
    assert found["within 1"] == 0.75
    # Ranks 1 2 3 4 and 1 2 4 3: Σd² = 2, 1 − 6·2 / (4·15); pairs: 5 in order, 1 not, of 6
    assert found["spearman"] == pytest.approx(0.8)
    assert found["kendall"] == pytest.approx(4 / 6)


def test_kendall_with_ties_is_tau_b() -> None:
    # Pairs: 4 in order, 1 tied in the first alone, 1 in the second alone: 4 / √(5·5)
    found = correlations(np.array([1.0, 1, 2, 3]), np.array([1.0, 2, 3, 3]))
    assert found["kendall"] == pytest.approx(4 / math.sqrt(5 * 5))


def test_a_constant_score_has_no_rank() -> None:
    none = {"spearman": None, "kendall": None}
    assert correlations(np.array([2.0, 2.0]), np.array([1.0, 2.0])) == none
    assert correlations(np.array([2.0]), np.array([1.0])) == none
