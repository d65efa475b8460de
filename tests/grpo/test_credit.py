"""The laws of credit, on random groups."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qibox.grpo.credit import (
    CORRECTION,
    DRAFT,
    INSERTED,
    REFLECTION,
    token_advantages,
    turn_advantages,
    zero_variance,
)

score = st.floats(1, 10).map(lambda value: round(value, 3))
judged = st.one_of(score, st.just(math.nan))


def groups(value: Any, k: int) -> Any:
    """(N, 2) scores of one to three groups."""
    return st.integers(1, 3).flatmap(
        lambda g: st.lists(st.tuples(value, value), min_size=g * k, max_size=g * k).map(np.array)
    )


def plain_grpo(rewards: Any, k: int) -> Any:
    """What TRL does, with its own std."""
    import torch
    from trl.trainer.utils import nanstd

    grouped = torch.as_tensor(rewards, dtype=torch.float64).view(-1, k)
    above = grouped - torch.nanmean(grouped, dim=1, keepdim=True)
    std = nanstd(grouped, dim=1, keepdim=True)
    return torch.nan_to_num(above / (std + 1e-4), nan=0.0).flatten().numpy()


@pytest.mark.usefixtures("policy")  # which makes torchvision importable
@given(groups(judged, 4))
def test_without_unsafe_drafts_turn_credit_is_plain_grpo(scores: Any) -> None:
    scores[:, 1] = scores[:, 0]  # each draft is its own final response
    wanted = plain_grpo(scores[:, 0], 4)
    for credit in ("turn", "trajectory"):
        found = turn_advantages(scores, 4, credit)[:, 0]
        assert found == pytest.approx(wanted, rel=1e-6, abs=1e-9)  # TRL counts in float32


@given(groups(judged, 3), score)
def test_a_draft_is_worth_the_same_whatever_its_neighbour_is_corrected_to(
    scores: Any, better: float
) -> None:
    corrected = scores.copy()
    corrected[1, 1] = better
    before = turn_advantages(scores, 3, "turn")[:, 0]
    assert (turn_advantages(corrected, 3, "turn")[:, 0] == before).all()


def test_one_advantage_for_all_turns_makes_a_safe_draft_worth_less() -> None:
    """The fault that turn credit mends: a safe 8 beside an unsafe 2 that is corrected to 10."""
    scores = np.array([[8.0, 8.0], [2.0, 10.0]])
    assert turn_advantages(scores, 2, "trajectory")[0, 0] < 0
    assert turn_advantages(scores, 2, "turn")[0, 0] > 0


@given(groups(judged, 4), st.sampled_from(["turn", "trajectory", "recovery", "correction"]))
def test_advantages_are_finite_and_0_where_nothing_was_judged(scores: Any, credit: Any) -> None:
    found = turn_advantages(scores, 4, credit)
    assert np.isfinite(found).all()
    missing = np.isnan(scores) if credit == "turn" else np.isnan(scores[:, [1, 1]])
    assert (found[missing] == 0).all()


@given(groups(score, 3), st.permutations(range(3)))
def test_the_order_within_a_group_does_not_matter(scores: Any, order: Any) -> None:
    moved = scores.copy()
    moved[:3] = scores[:3][list(order)]
    found = turn_advantages(scores, 3, "turn")[:3][list(order)]
    assert turn_advantages(moved, 3, "turn")[:3] == pytest.approx(found, rel=1e-9, abs=1e-12)


def test_the_formula_by_hand() -> None:
    scores = np.array([[9.0, 9.0], [2.0, 8.0], [math.nan, math.nan], [4.0, math.nan]])
    found = turn_advantages(scores, 4, "turn")
    # Drafts 9, 2, 4: mean 5, std √(26 / 2). Drafts and finals 9, 9, 2, 8, 4: mean 6.4,
    # squares 6.76 + 6.76 + 19.36 + 2.56 + 5.76 = 41.2, std √(41.2 / 4).
    of_drafts, of_all = math.sqrt(13) + 1e-4, math.sqrt(10.3) + 1e-4
    assert found[:, 0] == pytest.approx([4 / of_drafts, -3 / of_drafts, 0, -1 / of_drafts])
    assert found[1, 1] == pytest.approx(3 / of_all)
    assert found[3, 1] == 0  # its correction was not judged


def test_inserted_tokens_are_worth_nothing() -> None:
    kinds = [[DRAFT, DRAFT, INSERTED, REFLECTION, INSERTED, INSERTED, CORRECTION], [DRAFT]]
    assert token_advantages([(-1.0, 2.0), (0.5, 9.0)], kinds) == [
        [-1.0, -1.0, 0.0, 2.0, 0.0, 0.0, 2.0],
        [0.5],
    ]


def test_a_group_of_equal_drafts_still_teaches_where_a_correction_is_better() -> None:
    scores = np.array([[2.0, 2.0], [2.0, 9.0], [7.1, 7.1], [7.1, 7.1]])
    advantages = turn_advantages(scores, 2, "turn")
    recovered = np.array([False, True, False, False])
    assert zero_variance(advantages, recovered, 2).tolist() == [False, False, True, True]
