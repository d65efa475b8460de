from hypothesis import given
from hypothesis import strategies as st

from qibox.grpo.judging import Rating
from qibox.grpo.lagrange import Multiplier, cost_of
from qibox.verdict import Verdict

share = st.floats(0, 1)


def rated(harmlessness: int, helpfulness: int) -> Rating:
    return Rating(
        verdict=Verdict(
            harmlessness=harmlessness,
            helpfulness=helpfulness,
            hallucination=False,
            contradiction=False,
            grounding_gap=0,
            safe=harmlessness > 5,
            rationale="",
        )
    )


def test_reward_and_cost_by_hand() -> None:
    assert cost_of(rated(10, 1)) == 0.0
    assert cost_of(rated(1, 1)) == 1.0
    assert Multiplier(0.1, 1.0, value=2.0).worth(rated(1, 10)) == 1.0 - 2.0
    assert Multiplier(0.1, 1.0).worth(Rating(reason="no answer")) is None


@given(share, st.lists(share, min_size=1), st.floats(0.01, 10), st.floats(0, 10))
def test_it_rises_above_the_limit_falls_below_it_and_is_never_negative(
    limit: float, costs: list[float], rate: float, value: float
) -> None:
    moved = Multiplier(limit, rate, value)
    moved.ascend([*costs, None])
    mean = sum(costs) / len(costs)
    assert moved.value >= 0
    if mean > limit + 1e-9:
        assert moved.value >= value
    if mean < limit - 1e-9:
        assert moved.value <= value


def test_without_any_verdict_it_stays() -> None:
    still = Multiplier(0.1, 1.0)
    still.ascend([None, None])
    assert still.value == 1.0


def test_under_a_cost_that_falls_with_it_the_mean_cost_settles_at_the_limit() -> None:
    multiplier = Multiplier(limit=0.2, rate=0.5)
    cost = 1.0
    for _ in range(300):
        cost = 1 / (1 + multiplier.value)  # a policy that answers to the multiplier
        multiplier.ascend([cost])
    assert abs(cost - 0.2) < 0.01
