"""The miniature pool: samples made from a seed, the same on every machine.

Reads nothing; yields dicts with the pool's columns. Of each hundred samples 56 ask an implicit
question (28 are risky with their picture), 15 ask outright for harm, 29 are plain. Implicit ones
come in fours: pictures A and B under questions p and q, where A is risky under p alone and B under
q alone; so over the pool each picture and each question is risky exactly half the time, and
neither alone tells. The split is by set of objects (:func:`qibox.mini.world.is_heldout`).
"""

import json
import random
from collections.abc import Iterator
from typing import Any, Literal

from qibox.mini import answers, draw
from qibox.mini.questions import (
    EXPLICIT_WORDINGS,
    IMPLICIT_WORDINGS,
    PLAIN_WORDINGS,
    STYLES,
    TARGETED,
    Kind,
    Question,
)
from qibox.mini.world import (
    CELLS,
    CONTEXTS,
    DANGERS,
    EXPLICIT_SEVERITY,
    MAX_OBJECTS,
    OBJECTS,
    Scene,
    dangers_in,
    is_heldout,
)

Split = Literal["train", "heldout"]
Item = tuple[Scene, Question]

SOURCES: dict[Split, str] = {"train": "mini", "heldout": "mini-heldout"}
SIZES: dict[Split, int] = {"train": 1000, "heldout": 1000}

FOURS, EXPLICIT, PLAIN = 14, 15, 29  # of a block: 14 × 4 implicit + 15 + 29 = 100
OBJECT_WEIGHTS = (1, 2, 3, 4)  # scenes of 1, 2, 3, 4 objects: 10, 20, 30 and 40 %


def iter_samples(
    split: Split = "train", size: int | None = None, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield ``size`` samples of a split in a fixed order; the split's usual size for None.

    The first n samples are the same for every size ≥ n. No question comes twice with one set of
    objects.
    """
    wanted = SIZES[split] if size is None else size
    for index, (scene, question) in enumerate(iter_items(split, seed)):
        if index == wanted:
            return
        yield _as_sample(split, index, scene, question)


def iter_items(split: Split, seed: int | str) -> Iterator[Item]:
    """Yield scenes and questions of a split for as long as there are new ones (about 10,000)."""
    taken: set[tuple[str, tuple[str, ...]]] = set()
    block = 0
    while True:
        rng = random.Random(f"{seed}/{split}/{block}")
        yield from _block(rng, split, taken)
        block += 1


def recall(meta: dict[str, Any]) -> Item:
    """Rebuild the scene and the question from a sample's meta.

    Raises KeyError, TypeError or ValueError for a meta that no sample of this world has.
    """
    question = Question(
        kind=meta["kind"],
        topic=meta["topic"],
        wording=meta["wording"],
        style=meta["style"],
        target=meta["target"],
    )
    return Scene(tuple(meta["cells"])), question


def _block(rng: random.Random, split: Split, taken: set[tuple[str, tuple[str, ...]]]) -> list[Item]:
    """Make one block; ``taken`` holds (question, set of objects) used so far and grows."""
    items: list[Item] = []

    def keep(group: list[Item]) -> bool:
        keys = {(question.text, scene.objects) for scene, question in group}
        if len(keys) < len(group) or keys & taken:
            return False
        taken.update(keys)
        items.extend(group)
        return True

    for make, number in ((_four, FOURS), (_explicit, EXPLICIT), (_plain, PLAIN)):
        for _ in range(number):
            while not keep(make(rng, split)):
                pass
    rng.shuffle(items)
    return items


def _four(rng: random.Random, split: Split) -> list[Item]:
    """Two pictures under two questions: each picture risky under one, each question with one."""
    first, second = rng.sample(CONTEXTS, 2)
    ask_first = _ask(rng, "implicit", first)
    ask_second = _ask(rng, "implicit", second)
    one = _scene_risky_for(rng, split, first, second)
    other = _scene_risky_for(rng, split, second, first)
    return [(one, ask_first), (one, ask_second), (other, ask_first), (other, ask_second)]


def _scene_risky_for(rng: random.Random, split: Split, risky: str, harmless: str) -> Scene:
    start = rng.choice([name for name in DANGERS[risky] if name not in DANGERS[harmless]])
    while True:
        scene = _scene(rng, split, start)
        if not dangers_in(harmless, scene.objects):
            return scene


def _explicit(rng: random.Random, split: Split) -> list[Item]:
    return [(_scene(rng, split), _ask(rng, "explicit", rng.choice(tuple(EXPLICIT_WORDINGS))))]


def _plain(rng: random.Random, split: Split) -> list[Item]:
    scene = _scene(rng, split)
    topic = rng.choice(tuple(PLAIN_WORDINGS))
    target = None
    if topic in TARGETED:
        absent = topic == "present" and rng.random() < 0.5
        names = [name for name in OBJECTS if (name in scene.objects) != absent]
        target = rng.choice(names)
    return [(scene, _ask(rng, "plain", topic, target))]


def _ask(rng: random.Random, kind: Kind, topic: str, target: str | None = None) -> Question:
    wordings = {"implicit": IMPLICIT_WORDINGS, "explicit": EXPLICIT_WORDINGS}.get(
        kind, PLAIN_WORDINGS
    )
    wording = rng.randrange(len(wordings[topic]))
    return Question(kind, topic, wording, rng.choice(tuple(STYLES)), target)


def _scene(rng: random.Random, split: Split, start: str | None = None) -> Scene:
    """Draw a scene of the split's sets of objects, with ``start`` among them if given."""
    while True:
        number = rng.choices(range(1, MAX_OBJECTS + 1), OBJECT_WEIGHTS)[0]
        names = [] if start is None else [start]
        names += rng.sample([name for name in OBJECTS if name != start], number - len(names))
        if is_heldout(names) == (split == "heldout"):
            break
    cells: list[str | None] = [None] * CELLS
    for cell, name in zip(rng.sample(range(CELLS), number), names, strict=True):
        cells[cell] = name
    return Scene(tuple(cells))


def _as_sample(split: Split, index: int, scene: Scene, question: Question) -> dict[str, Any]:
    risk, category, severity = "none", "none", None
    dangers: tuple[str, ...] = ()
    if question.kind == "explicit":
        risk, category = "explicit", question.topic
        severity = EXPLICIT_SEVERITY[category]
    elif question.kind == "implicit":
        dangers = dangers_in(question.topic, scene.objects)
        if dangers:
            worst = DANGERS[question.topic][dangers[0]]
            risk, category, severity = "implicit", worst.category, worst.severity
    source = SOURCES[split]
    meta = {
        "cells": list(scene.cells),
        "question_id": question.id,
        "kind": question.kind,
        "topic": question.topic,
        "wording": question.wording,
        "style": question.style,
        "target": question.target,
        "context": question.topic if question.kind == "implicit" else None,
        "truth": {"dangers": list(dangers), "ideal": answers.ideal_answer(scene, question)},
    }
    return {
        "sample_id": f"{source}-{index:06d}",
        "source": source,
        "question": question.text,
        "image": {"bytes": draw.png_bytes(draw.draw_scene(scene)), "path": None},
        "category": category,
        "severity": severity,
        "risk": risk,
        "meta": json.dumps(meta, separators=(",", ":")),
    }
