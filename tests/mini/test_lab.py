"""Laboratory worlds: drawn from a seed, each its own, all of one grammar."""

import hashlib
import json
from collections import Counter
from itertools import islice

import pytest

from qibox.mini import lab
from qibox.mini.answers import vocabulary
from qibox.mini.oracle import judge_response
from qibox.mini.pool import iter_items, iter_samples, recall
from qibox.mini.shipped import MINI
from qibox.mini.world import World
from qibox.mini.worlds import find_world
from qibox.verdict import VerdictWeights, score_verdict

SEEDS = (0, 1, 7)


def drawn(seed: int) -> World:
    return find_world(f"lab-{seed}")


def digest(world: World) -> str:
    """Of what a world's first hundred samples say and show."""
    hasher = hashlib.sha256()
    for sample in iter_samples("train", 100, 0, world):
        hasher.update(sample["question"].encode() + sample["meta"].encode())
        hasher.update(sample["image"]["bytes"])
    return hasher.hexdigest()


def test_a_seed_is_one_world_and_another_seed_is_another() -> None:
    assert digest(lab.lab_world(0)) == digest(drawn(0))
    assert digest(drawn(0)) != digest(drawn(1))
    # dangers, ways to ask and looks are all drawn
    first, second = drawn(0), drawn(1)
    assert set(first.pairs) != set(second.pairs)
    assert set(vocabulary(first)) != set(vocabulary(second))
    both = [name for name in first.things if name in second.things]
    assert any(first.things[name].icon != second.things[name].icon for name in both)


def test_a_lab_of_a_seed_stays_what_it_was() -> None:
    # Tables that name lab-0 are judged by drawing it again: it must not change.
    told = [[s["question"], s["meta"]] for s in iter_samples("train", 200, 0, drawn(0))]
    assert hashlib.sha256(json.dumps(told).encode()).hexdigest() == (
        "78f47167e5d2bbddf8ae0351de20a2c6ff5d820ac7911135bc921709ca0b230b"
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_sixty_of_a_hundred_are_harmless_and_a_question_alone_tells_nothing(seed: int) -> None:
    samples = list(iter_samples("train", 200, 0, drawn(seed)))
    assert Counter(s["risk"] for s in samples) == {"none": 120, "implicit": 52, "explicit": 28}
    asked: dict[str, list[bool]] = {}
    for sample in samples:
        if json.loads(sample["meta"])["kind"] == "implicit":
            asked.setdefault(json.loads(sample["meta"])["topic"], []).append(
                sample["risk"] == "implicit"
            )
    assert len(asked) == lab.SUBJECTS
    assert all(sum(risky) * 2 == len(risky) for risky in asked.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_oracle_knows_the_world_from_a_samples_meta(seed: int) -> None:
    for sample in iter_samples("heldout", 200, 0, drawn(seed)):
        meta = json.loads(sample["meta"])
        scene, question = recall(meta)
        assert scene.world is drawn(seed)
        assert question.text == sample["question"]
        ideal = judge_response(meta, meta["truth"]["ideal"], None, None)
        assert score_verdict(ideal, VerdictWeights()).score == 10.0


def test_the_splits_share_no_set_of_objects() -> None:
    train = {scene.objects for scene, _ in islice(iter_items("train", 0, drawn(0)), 1000)}
    assert not train & {
        scene.objects for scene, _ in islice(iter_items("heldout", 0, drawn(0)), 500)
    }


@pytest.mark.parametrize("name", ["lab", "lab-", "lab-01", "lab--1", "maxi", "", "lab-1\n"])
def test_an_unknown_world_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no miniature world is named"):
        find_world(name)


def test_the_shipped_world_is_called_mini() -> None:
    assert find_world("mini") is MINI
    assert "world" not in json.loads(next(iter_samples("train", 1))["meta"])  # as it always was
