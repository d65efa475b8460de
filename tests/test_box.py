import math
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qibox.box import Box
from qibox.errors import UsageError

BOX = Box(q_low=4.0, q_high=7.5, u_min=1.25)


@pytest.mark.parametrize(
    ("quality", "instability", "inside"),
    [
        (5.0, 2.0, True),
        (4.0, 1.25, True),  # edges are included
        (7.5, 1.25, True),
        (3.999999, 2.0, False),
        (7.500001, 2.0, False),
        (5.0, 1.249999, False),
        (5.0, 4.5, True),
        (None, 2.0, False),
        (5.0, None, False),
        (None, None, False),
        (math.nan, 2.0, False),
        (5.0, math.nan, False),
    ],
)
def test_a_box_holds_its_band_and_what_is_unstable_enough(
    quality: float | None, instability: float | None, inside: bool
) -> None:
    assert BOX.holds(quality, instability) is inside


def test_the_whole_range_holds_every_possible_score() -> None:
    whole = Box(1.0, 10.0, 0.0)
    assert whole.holds(1.0, 0.0)
    assert whole.holds(10.0, 0.0)
    assert whole.holds(5.5, 4.5)


def test_a_box_may_be_a_point_and_may_reach_beyond_what_scores_reach() -> None:
    assert Box(5.0, 5.0, 4.5).holds(5.0, 4.5)
    assert Box(10.0, 12.0, 0.0).holds(10.0, 0.0)
    assert Box(-3.0, 1.0, -1.0).holds(1.0, 0.0)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ((7.0, 4.0, 1.0), "the quality band from 7 to 4 is reversed: give the lower edge first"),
        ((math.nan, 4.0, 1.0), "an edge of the quality band must be a number, not nan"),
        ((4.0, math.inf, 1.0), "an edge of the quality band must be a number, not inf"),
        ((4.0, 7.0, math.nan), "the minimum of instability must be a number, not nan"),
        ((4.0, 7.0, -math.inf), "the minimum of instability must be a number, not -inf"),
        (
            (-2.0, 0.5, 1.0),
            "the quality band from -2 to 0.5 holds no quality: quality lies between 1 and 10",
        ),
        (
            (10.5, 12.0, 1.0),
            "the quality band from 10.5 to 12 holds no quality: quality lies between 1 and 10",
        ),
        (
            (4.0, 7.0, 4.6),
            "a minimum of instability of 4.6 lets nothing through: "
            "instability lies between 0 and 4.5",
        ),
    ],
)
def test_a_box_that_cannot_be_meant_is_refused_in_one_sentence(
    edges: tuple[float, float, float], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        Box(*edges)
    assert str(caught.value) == message


def test_a_box_cannot_be_changed_past_its_checks() -> None:
    with pytest.raises(FrozenInstanceError):
        BOX.q_low = 9.0


qualities = st.one_of(st.none(), st.floats(1, 10).map(lambda q: round(q, 6)))
instabilities = st.one_of(st.none(), st.floats(0, 4.5).map(lambda u: round(u, 6)))
pools = st.lists(st.tuples(qualities, instabilities), max_size=30)


@st.composite
def nested_boxes(draw: st.DrawFn) -> tuple[Box, Box]:
    """A box, and one that is tighter at every edge."""
    low, tight_low, tight_high, high = sorted(draw(st.tuples(*[st.floats(1, 10)] * 4)))
    u, tight_u = sorted(draw(st.tuples(*[st.floats(0, 4.5)] * 2)))
    return Box(low, high, u), Box(tight_low, tight_high, tight_u)


@given(nested_boxes(), pools)
def test_a_tighter_box_selects_a_subset(
    boxes: tuple[Box, Box], pool: list[tuple[float | None, float | None]]
) -> None:
    wide, tight = boxes
    assert {i for i, s in enumerate(pool) if tight.holds(*s)} <= {
        i for i, s in enumerate(pool) if wide.holds(*s)
    }
