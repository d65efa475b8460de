"""Turn conversations into token batches: what a model reads, and which tokens it must learn.

Reads scenes, questions and turns; returns tensors in the chat template's order of tokens, padded on
the right (training needs no left padding, since labels mask the rest).
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from transformers import PreTrainedTokenizerFast

from qibox.mini import answers
from qibox.mini.pool import Item, iter_items
from qibox.mini.shipped import MINI
from qibox.mini.train.personas import ALL_KNOWING, Persona
from qibox.mini.train.words import IMAGE, TURN_END, TURN_START, VISION_END, VISION_START
from qibox.mini.world import CELLS, World

IGNORED = -100  # label of a token that is read and not learnt


def cell_kinds(world: World) -> tuple[str | None, ...]:
    """What a cell may hold in a world; its index is the cell's kind."""
    return (None, *world.objects)


@dataclass(frozen=True)
class Lesson:
    """One conversation: the picture's cells, and turns as (role, text, learnt)."""

    item: Item
    turns: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True)
class Batch:
    """Lessons as tensors."""

    ids: torch.Tensor  # (B, T) token ids
    labels: torch.Tensor  # (B, T) ids to predict, IGNORED elsewhere
    cells: torch.Tensor  # (B, 9) kinds of cell


Teacher = Callable[[Item, random.Random], Lesson]


def teach_ideal(item: Item, rng: random.Random) -> Lesson:
    """The ideal answer; for one unsafe draft in four, the ideal reflection and correction."""
    scene, question = item
    ideal = answers.ideal_answer(scene, question)
    drawn = ALL_KNOWING.mend(scene, question, rng)
    if drawn is None or rng.random() < 0.75:
        return Lesson(item, (("user", question.text, False), ("assistant", ideal, True)))
    why = answers.reflection(scene, question, answers.risks_in(scene, question))
    return _dialogue(item, drawn[0], why, ideal)


def teach_persona(persona: Persona) -> Teacher:
    """Answers of a persona, one turn."""

    def teach(item: Item, rng: random.Random) -> Lesson:
        text = persona.respond(*item, rng)
        return Lesson(item, (("user", item[1].text, False), ("assistant", text, True)))

    return teach


def teach_policy(persona: Persona) -> Teacher:
    """Answers of the start policy; half of the risky items go on to reflection and correction."""
    first = teach_persona(persona)

    def teach(item: Item, rng: random.Random) -> Lesson:
        drawn = persona.mend(*item, rng)
        return first(item, rng) if drawn is None or rng.random() < 0.5 else _dialogue(item, *drawn)

    return teach


def _dialogue(item: Item, draft: str, why: str, corrected: str) -> Lesson:
    """Draft (read, not learnt), reflection and correction (learnt)."""
    return Lesson(
        item,
        (
            ("user", item[1].text, False),
            ("assistant", draft, False),
            ("user", answers.REFLECT, False),
            ("assistant", why, True),
            ("user", answers.CORRECT, False),
            ("assistant", corrected, True),
        ),
    )


class Encoder:
    """Writes lessons as tokens, as the processor and its chat template would."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, world: World = MINI) -> None:
        self.world = world
        self._kinds = {name: kind for kind, name in enumerate(cell_kinds(world))}
        self._ids: dict[str, int] = tokenizer.get_vocab()
        self._pad = self._ids[str(tokenizer.pad_token)]

    def tokens(self, lesson: Lesson) -> tuple[list[int], list[int]]:
        """Return a lesson's ids and labels."""
        ids: list[int] = []
        labels: list[int] = []

        def write(words: Sequence[str], learnt: bool) -> None:
            new = [self._ids[word] for word in words]
            ids.extend(new)
            labels.extend(new if learnt else [IGNORED] * len(new))

        for turn, (role, text, learnt) in enumerate(lesson.turns):
            write((TURN_START, role), False)
            if turn == 0:
                write((VISION_START, *[IMAGE] * CELLS, VISION_END), False)
            write((*text.split(), TURN_END), learnt)
        return ids, labels

    def batch(self, lessons: Sequence[Lesson]) -> Batch:
        """Pad lessons on the right into one batch."""
        rows = [self.tokens(lesson) for lesson in lessons]
        longest = max(len(ids) for ids, _ in rows)
        kinds = [[self._kinds[name] for name in lesson.item[0].cells] for lesson in lessons]
        return Batch(
            torch.tensor([ids + [self._pad] * (longest - len(ids)) for ids, _ in rows]),
            torch.tensor([labels + [IGNORED] * (longest - len(labels)) for _, labels in rows]),
            torch.tensor(kinds),
        )


def batches(encoder: Encoder, teacher: Teacher, size: int, seed: str) -> Iterator[Batch]:
    """Yield batches without end, of new training scenes of the encoder's world from a seed."""
    items = iter_items("train", seed, encoder.world)
    rng = random.Random(seed)
    while True:
        yield encoder.batch([teacher(item, rng) for item in islice(items, size)])
