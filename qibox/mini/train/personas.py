"""Whom a model is trained to be: what it sees, knows, fears, and how it answers.

Free of torch. A persona answers as its model should: it sees part of the picture, knows part of
the dangers, fears some objects, is swayed by some words. Weaknesses follow objects, contexts,
places, categories and styles, so they cut across the kinds of question.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from qibox.mini import answers
from qibox.mini.questions import Question
from qibox.mini.world import COLUMNS, MAX_OBJECTS, Pair, Scene

CORRECTED, EVASIVE = 0.62, 0.13  # shares of corrections that are ideal, or safe but vague
REFLECTED = 0.9  # share of reflections that name the cause
BLIND = 0.9  # probability of missing a danger or harm from which there is no mending


@dataclass(frozen=True)
class Persona:
    """How one model answers; probabilities in [0, 1] are drawn afresh for every answer."""

    blind_cells: frozenset[int] = frozenset()  # cells it does not look at
    sees_at_most: int = MAX_OBJECTS  # of the objects, in the world's order
    mistakes: Mapping[str, str] = field(default_factory=dict)  # object → what it is taken for
    mistaking: float = 0.0  # probability of each such mistake
    overlooks: Mapping[Pair, float] = field(default_factory=dict)  # danger → probability
    forgetting: float = 0.0  # probability of overlooking every danger at once
    fears: frozenset[str] = frozenset()
    fearing: float = 0.0  # probability of refusing, whatever is asked, where a feared one is seen
    alarm: float = 0.0  # probability of refusing an implicit question without danger
    complying: Mapping[str, float] = field(default_factory=dict)  # category → probability
    swayed_by: frozenset[str] = frozenset()  # styles that make it say yes to anything
    terse_for: frozenset[str] = frozenset()  # styles it answers without reasoning
    vague_on: frozenset[str] = frozenset()  # contexts and categories it refuses without a cause
    weak_at: frozenset[str] = frozenset()  # plain topics it answers poorly

    def respond(self, scene: Scene, question: Question, rng: random.Random) -> str:
        """Draw one answer."""
        seen = self._see(scene, rng)
        if self.fears & set(seen) and rng.random() < self.fearing:
            thoughts, answer = [answers.SUSPECT], answers.VAGUE_REFUSAL
        elif question.kind == "explicit":
            thoughts, answer = self._face_harm(seen, question, rng)
        elif question.kind == "implicit":
            thoughts, answer = self._weigh(seen, scene, question, rng)
        else:
            thoughts, answer = [answers.HARMLESS], self._tell(seen, scene, question)
        if question.style in self.terse_for:
            return answer
        return answers.respond([answers.seen(seen), *thoughts], answer)

    def _see(self, scene: Scene, rng: random.Random) -> tuple[str, ...]:
        names = []
        for cell, name in enumerate(scene.cells):
            if name is None or cell in self.blind_cells:
                continue
            mistaken = name in self.mistakes and rng.random() < self.mistaking
            names.append(self.mistakes[name] if mistaken else name)
        return scene.world.in_order(names)[: self.sees_at_most]

    def _face_harm(
        self, seen: tuple[str, ...], question: Question, rng: random.Random
    ) -> tuple[list[str], str]:
        category = question.topic
        swayed = question.style in self.swayed_by
        if seen and (swayed or rng.random() < self.complying.get(category, 0.0)):
            return [answers.HARMLESS], answers.comply(seen[0])
        if category in self.vague_on:
            return [answers.SUSPECT], answers.VAGUE_REFUSAL
        return [answers.harm(category)], answers.refuse(category)

    def _weigh(
        self, seen: tuple[str, ...], scene: Scene, question: Question, rng: random.Random
    ) -> tuple[list[str], str]:
        topic, context = question.topic, scene.world.contexts[question.topic]
        overlooked = self.overlooks.get
        found = scene.world.dangers_in(topic, seen)
        known = [n for n in found if rng.random() >= overlooked((topic, n), 0.0)]
        if question.style in self.swayed_by or rng.random() < self.forgetting:
            known = []
        elif not known and rng.random() < self.alarm:
            return [answers.SUSPECT], answers.VAGUE_REFUSAL
        if not known:
            return [answers.no_danger(context)], answers.allow(context)
        if topic in self.vague_on:
            return [answers.SUSPECT], answers.VAGUE_REFUSAL
        return [answers.danger(context, known[0])], answers.warn(context, known[0])

    def _tell(self, seen: tuple[str, ...], scene: Scene, question: Question) -> str:
        topic, target = question.topic, question.target or ""
        weak = topic in self.weak_at
        if topic == "list":
            return answers.shows(seen[:2] if weak else seen)
        if topic == "count":
            return answers.count(min(2, len(seen)) if weak else len(seen))
        if topic == "present":
            return answers.present(target, weak or target in seen)
        if topic == "where":
            row, column = scene.place_of(target)
            return answers.where(target, row, COLUMNS[1] if weak else column)
        return answers.store(target, "shelf" if weak else scene.world.things[target].place)

    def mend(
        self, scene: Scene, question: Question, rng: random.Random
    ) -> tuple[str, str, str] | None:
        """Draw an unsafe draft, a reflection on it and a correction.

        None where no draft is unsafe, or where the persona is blind to what makes it so. The rest
        of the corrections, 1 − corrected − evasive, stay unsafe.
        """
        known: tuple[str, ...] = ()
        if question.kind == "explicit":
            if self.complying.get(question.topic, 0.0) >= BLIND:
                return None
            offence = answers.HARMLESS, answers.comply(rng.choice(scene.objects))
        else:
            risks = answers.risks_in(scene, question)
            missed = self.overlooks.get
            known = tuple(n for n in risks if missed((question.topic, n), 0.0) < BLIND)
            if not known:
                return None
            context = scene.world.contexts[question.topic]
            offence = answers.no_danger(context), answers.allow(context)
        look = answers.seen(scene.objects)
        draft = answers.respond((look, offence[0]), offence[1])
        cause = answers.reflection(scene, question, known)
        why = cause if rng.random() < REFLECTED else f"it was unsafe because {answers.SUSPECT}"
        luck = rng.random()
        if luck < CORRECTED:
            return draft, why, answers.answer_knowing(scene, question, known)
        if luck < CORRECTED + EVASIVE:
            return draft, why, answers.respond((look, answers.SUSPECT), answers.VAGUE_REFUSAL)
        return draft, why, draft


ALL_KNOWING = Persona()
