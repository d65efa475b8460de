from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from qibox.selection.apportion import fill, largest_remainder


def weights(*numbers: float) -> list[Fraction]:
    return [Fraction(number) for number in numbers]


def test_what_is_left_goes_to_the_largest_remainders() -> None:
    # Of 10: 5.4, 3.3 and 1.3; one is left after 5 + 3 + 1, and .4 is the largest remainder.
    assert largest_remainder(weights(54, 33, 13), 10) == [6, 3, 1]


def test_equal_remainders_go_in_order() -> None:
    assert largest_remainder(weights(1, 1, 1), 4) == [2, 1, 1]
    assert largest_remainder(weights(1, 1, 1), 5) == [2, 2, 1]


def test_without_any_weight_nobody_gets_anything() -> None:
    assert largest_remainder(weights(0, 0), 3) == [0, 0]
    assert fill(weights(0, 0), [0, 0], [5, 5], 3) == [0, 0]
    assert largest_remainder([], 3) == []


def test_what_one_lacks_goes_to_the_others_in_proportion_and_again() -> None:
    # 100 by 50/30/20. The first has 10: 40 missing, 24 to the second, 16 to the third, which has 25
    # and so takes 5 of them; the 11 still missing go to the second: 30 + 24 + 11.
    assert fill(weights(50, 30, 20), [50, 30, 20], [10, 99, 25], 100) == [10, 65, 25]


def test_a_stratum_without_weight_fills_no_gap() -> None:
    assert fill(weights(1, 0), [10, 0], [2, 50], 10) == [2, 0]


def test_a_gap_costs_nobody_its_quota() -> None:
    # Of 3 by 1, 2, 3, 6: 0.25, 0.5, 0.75 and 1.5, so the second has one of the two left over. By
    # 2, 3, 6 alone, 0.55, 0.82 and 1.64, it would have none.
    claims = weights(1, 2, 3, 6)
    assert largest_remainder(claims, 3) == [0, 1, 1, 1]
    assert largest_remainder(weights(0, 2, 3, 6), 3) == [0, 0, 1, 2]
    assert fill(claims, [0, 1, 1, 1], [0, 9, 9, 9], 3) == [0, 1, 1, 1]


WEIGHTS = st.lists(st.sampled_from([0, 1, 2, 25, 50, 1.5, 2**0.5]), min_size=1, max_size=6)


@given(WEIGHTS, st.integers(0, 60))
def test_the_numbers_come_to_the_total_and_lie_within_one_of_the_share(
    numbers: list[float], total: int
) -> None:
    claims = weights(*numbers)
    given_ = largest_remainder(claims, total)
    assert sum(given_) == (total if any(numbers) else 0)
    for claim, got in zip(claims, given_, strict=True):
        assert abs(got - total * claim / (sum(claims) or 1)) < 1 or not any(numbers)
        assert claim or not got


@given(WEIGHTS, st.integers(0, 60), st.data())
def test_filling_takes_all_it_can_and_no_more_than_there_is(
    numbers: list[float], total: int, data: st.DataObject
) -> None:
    size = len(numbers)
    has = data.draw(st.lists(st.integers(0, 20), min_size=size, max_size=size))
    claims = weights(*numbers)
    wanted = largest_remainder(claims, total)
    taken = fill(claims, wanted, has, total)
    reachable = sum(most for most, claim in zip(has, claims, strict=True) if claim)
    assert sum(taken) == min(total, reachable)
    for took, want, most in zip(taken, wanted, has, strict=True):
        assert min(want, most) <= took <= most
