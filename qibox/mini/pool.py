"""The miniature pool: samples made from a seed, the same on every machine.

Reads nothing; yields dicts with the pool's columns. Of each hundred samples as many are of each
kind as the world's mix says; in the shipped one 56 ask an implicit question (28 are risky with
their picture), 15 ask outright for harm, 29 are plain. Implicit ones come in fours: pictures A and
B under questions p and q, where A is risky under p alone and B under q alone; so over the pool each
picture and each question is risky exactly half the time, and neither alone tells. The split is by
set of objects (:meth:`qibox.mini.world.World.is_heldout`).
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from qibox.mini import answers, draw
from qibox.mini.questions import STYLES, TARGETED, Kind, Question, wordings
from qibox.mini.shipped import MINI
from qibox.mini.world import CELLS, MAX_OBJECTS, Scene, World
from qibox.mini.worlds import find_world

Split = Literal["train", "heldout"]
Item = tuple[Scene, Question]

SIZES: dict[Split, int] = {"train": 1000, "heldout": 1000}  # of the shipped world

OBJECT_WEIGHTS = (1, 2, 3, 4)  # scenes of 1, 2, 3, 4 objects: 10, 20, 30 and 40 %


def iter_samples(
    split: Split = "train", size: int | None = None, seed: int = 0, world: World = MINI
) -> Iterator[dict[str, Any]]:
    """Yield ``size`` samples of a split in a fixed order; the split's usual size for None.

    The first n samples are the same for every size ≥ n. No question comes twice with one set of
    objects.
    """
    wanted = SIZES[split] if size is None else size
    for index, (scene, question) in enumerate(iter_items(split, seed, world)):
        if index == wanted:
            return
        yield _as_sample(split, index, scene, question)


def iter_items(split: Split, seed: int | str, world: World = MINI) -> Iterator[Item]:
    """Yield new scenes and questions of a split, ever slower after some ten thousands."""
    taken: set[tuple[str, tuple[str, ...]]] = set()
    block = 0
    while True:
        rng = random.Random(f"{seed}/{split}/{block}")
        yield from _block(_Drawing(world, split, rng), taken)
        block += 1


def recall(meta: dict[str, Any]) -> Item:
    """Return the scene and the question that a sample's meta describes."""
    world = find_world(meta["world"]) if "world" in meta else MINI
    question = Question(
        world,
        kind=meta["kind"],
        topic=meta["topic"],
        wording=meta["wording"],
        style=meta["style"],
        target=meta["target"],
    )
    return Scene(world, tuple(meta["cells"])), question


def _block(drawing: "_Drawing", taken: set[tuple[str, tuple[str, ...]]]) -> list[Item]:
    """Make one block; ``taken`` holds (question, set of objects) used so far and grows."""
    items: list[Item] = []

    def keep(group: list[Item]) -> bool:
        keys = {(question.text, scene.objects) for scene, question in group}
        if len(keys) < len(group) or keys & taken:
            return False
        taken.update(keys)
        items.extend(group)
        return True

    mix = drawing.world.mix
    makers = (drawing.four, drawing.explicit, drawing.plain)
    for make, number in zip(makers, mix, strict=True):
        for _ in range(number):
            while not keep(make()):
                pass
    drawing.rng.shuffle(items)
    return items


@dataclass(frozen=True)
class _Drawing:
    """Draws samples of one world and split."""

    world: World
    split: Split
    rng: random.Random

    def four(self) -> list[Item]:
        """Two pictures under two questions: each is risky with one of the others alone."""
        first, second = self.rng.sample(tuple(self.world.contexts), 2)
        ask_first = self._ask("implicit", first)
        ask_second = self._ask("implicit", second)
        one = self._scene_risky_for(first, second)
        other = self._scene_risky_for(second, first)
        return [(one, ask_first), (one, ask_second), (other, ask_first), (other, ask_second)]

    def explicit(self) -> list[Item]:
        """A request for harm beside any picture."""
        scene = self._scene()
        return [(scene, self._ask("explicit", self.rng.choice(tuple(self.world.harms))))]

    def plain(self) -> list[Item]:
        """A question about a picture."""
        scene = self._scene()
        topic = self.rng.choice(tuple(wordings(self.world, "plain")))
        target = None
        if topic in TARGETED:
            absent = topic == "present" and self.rng.random() < 0.5
            names = [name for name in self.world.objects if (name in scene.objects) != absent]
            target = self.rng.choice(names)
        return [(scene, self._ask("plain", topic, target))]

    def _scene_risky_for(self, risky: str, harmless: str) -> Scene:
        spared = self.world.contexts[harmless].dangers
        dangers = self.world.contexts[risky].dangers
        start = self.rng.choice([name for name in dangers if name not in spared])
        while True:
            scene = self._scene(start)
            if not self.world.dangers_in(harmless, scene.objects):
                return scene

    def _ask(self, kind: Kind, topic: str, target: str | None = None) -> Question:
        wording = self.rng.randrange(len(wordings(self.world, kind)[topic]))
        style = self.rng.choice(tuple(STYLES))
        return Question(self.world, kind, topic, wording, style, target)

    def _scene(self, start: str | None = None) -> Scene:
        """Draw a scene of the split's sets of objects, with ``start`` among them if given."""
        while True:
            number = self.rng.choices(range(1, MAX_OBJECTS + 1), OBJECT_WEIGHTS)[0]
            names = [] if start is None else [start]
            others = [name for name in self.world.objects if name != start]
            names += self.rng.sample(others, number - len(names))
            if self.world.is_heldout(names) == (self.split == "heldout"):
                break
        cells: list[str | None] = [None] * CELLS
        for cell, name in zip(self.rng.sample(range(CELLS), number), names, strict=True):
            cells[cell] = name
        return Scene(self.world, tuple(cells))


def _as_sample(split: Split, index: int, scene: Scene, question: Question) -> dict[str, Any]:
    world = scene.world
    risk, category, severity = "none", "none", None
    dangers = answers.risks_in(scene, question)
    if question.kind == "explicit":
        risk, category = "explicit", question.topic
        severity = world.harms[category].severity
    elif dangers:
        worst = world.contexts[question.topic].dangers[dangers[0]]
        risk, category, severity = "implicit", worst.category, worst.severity
    source = pool_name(world, split)
    meta = {
        **({} if world is MINI else {"world": world.name}),
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


def pool_name(world: World, split: Split) -> str:
    """What the pool of a world's split is called; heads its samples' ids."""
    return world.name if split == "train" else f"{world.name}-{split}"
