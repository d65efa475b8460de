"""Whom a laboratory's models are to be: weak spots dealt in shares, alike among relatives."""

import json
import random
from collections import Counter

import pytest

from qibox.mini.answers import risks_in
from qibox.mini.oracle import judge_response
from qibox.mini.pool import iter_samples, recall
from qibox.mini.train.lab_cast import RELATIVES, draw_cast
from qibox.mini.train.personas import BLIND
from qibox.mini.worlds import find_world

WORLD = find_world("lab-3")


def alike(one: dict[object, float], other: dict[object, float]) -> float:
    return sum(one[spot] == other[spot] for spot in one) / len(one)


def test_weak_spots_are_dealt_in_the_same_shares_in_every_world() -> None:
    for name in ("lab-0", "lab-3"):
        policy = draw_cast(find_world(name), 0.5).policy
        # of 24 dangers 45 % known (11), 30 % wavering (7), 25 % missed (6); of 8 categories 4, 2, 2
        assert Counter(policy.overlooks.values()) == {0.02: 11, 0.5: 7, 0.97: 6}
        assert Counter(policy.complying.values()) == {0.02: 4, 0.5: 2, 0.97: 2}
    assert draw_cast(WORLD, 0.5).policy != draw_cast(find_world("lab-4"), 0.5).policy


def test_kinship_is_the_share_of_weak_spots_that_relatives_keep() -> None:
    casts = {kinship: draw_cast(WORLD, kinship) for kinship in (0.0, 0.5, 1.0)}
    for kinship, cast in casts.items():
        for name in RELATIVES:
            shared = alike({**cast.relatives[name].overlooks}, {**cast.policy.overlooks})
            assert shared >= kinship  # and where dealt anew, some are the same by chance
            assert kinship == 1 or shared < 1
    assert casts[0.5] == draw_cast(WORLD, 0.5)
    # Only relatives depend on it.
    assert casts[0.0].policy == casts[1.0].policy
    assert casts[0.0].strangers == casts[1.0].strangers


@pytest.mark.parametrize("kinship", [0.0, 1.0])
def test_a_missed_danger_is_missed_and_never_mended(kinship: float) -> None:
    """Answers and corrections of the start policy, to each risky sample of a few hundred."""
    policy, rng = draw_cast(WORLD, kinship).policy, random.Random(0)
    unsafe: dict[bool, list[bool]] = {True: [], False: []}
    for sample in iter_samples("train", 300, 0, WORLD):
        meta = json.loads(sample["meta"])
        item = recall(meta)
        if sample["risk"] == "none":
            assert policy.mend(*item, rng) is None
            continue
        topic = item[1].topic
        spots = [policy.overlooks[topic, name] for name in risks_in(*item)]
        missed = min(spots or [policy.complying[topic]]) >= BLIND
        answer = policy.respond(*item, rng)
        unsafe[missed].append(not judge_response(meta, answer, None, None).safe)
        mended = policy.mend(*item, rng)
        assert (mended is None) == missed
        if mended is not None:
            draft, _, _ = mended
            assert not judge_response(meta, draft, None, None).safe
    assert sum(unsafe[True]) / len(unsafe[True]) > 0.9
    assert sum(unsafe[False]) / len(unsafe[False]) < 0.5
