"""A small judge's course: papers of a world without end, in terms, until the judge stands.

Reads a judge's manifest and what models said, returns a trained model with its processor. The same
weights for the same seed, versions and number of threads.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from transformers import Qwen2_5_VLProcessor

from qibox.manifests import JudgeManifest
from qibox.mini.train.making import ALIGN_STEPS
from qibox.mini_judges.architecture import Size, build_model
from qibox.mini_judges.learning import JudgeTrainer
from qibox.mini_judges.lessons import SORTED_AT_ONCE, Encoder, PaperBatch, batches
from qibox.mini_judges.notes import Notes, reply_first, reply_last
from qibox.mini_judges.papers import DRILL, EASY, FULL, Grade, Paper, papers
from qibox.mini_judges.responses import SHIPPED, Said, Voices, drawn, drilled
from qibox.mini_judges.study import Study
from qibox.mini_judges.tokens import build_processor, build_tokenizer

BATCH = 24


@dataclass(frozen=True)
class Course:
    """What sets one judge apart."""

    size: Size
    seed: int
    notes: Notes


@dataclass(frozen=True)
class Term:
    """A part of the training, with a schedule of its own."""

    steps: int
    rate: float
    easy: float  # share of the steps, at the beginning, whose papers have no codes
    drills: float  # share of the steps, throughout, that are drills


COURSES = {
    "grm-mini": Course(Size(hidden=128, layers=4, inner=256, vocabulary=1280), 1, reply_last),
    "grm-mini-b": Course(Size(hidden=96, layers=4, inner=224, vocabulary=1216), 2, reply_first),
}
TERMS = (
    Term(steps=1000, rate=1e-2, easy=0.85, drills=0.5),
    Term(steps=900, rate=6e-3, easy=0.1, drills=0.35),
)


class Stream:
    """Papers without end for one judge, the same for the same key."""

    def __init__(
        self, manifest: JudgeManifest, notes: Notes, said: list[Said], key: str, voices: Voices
    ) -> None:
        self._manifest = manifest
        self._notes = notes
        self._key = key
        self._rng = random.Random(key)
        self._responses = drawn(key, said, voices)
        self._drilled = drilled(key, voices.world)

    def papers(self, size: int, grade: Grade) -> list[Paper]:
        """The next papers."""
        said = self._drilled if grade.drill else self._responses
        return papers(self._manifest, self._notes, said, self._rng, size, grade)

    def batches(self, encoder: Encoder, grade: Grade, steps: int) -> Iterator[PaperBatch]:
        """All that follow, in batches; ``steps`` are asked for, or more."""
        at_once = min(SORTED_AT_ONCE, max(steps, 1)) * BATCH
        drawing = iter(lambda: self.papers(at_once, grade), None)
        return batches(encoder, drawing, BATCH, self._key)


def teach(
    manifest: JudgeManifest,
    course: Course,
    terms: Sequence[Term],
    said: list[Said],
    voices: Voices = SHIPPED,
    tokenized: int = Study().tokenized,
) -> tuple[JudgeTrainer, Qwen2_5_VLProcessor]:
    """Train one judge on responses that models gave and others that are drawn."""
    name, key = manifest.name, f"{manifest.name}-{course.seed}"
    stream = Stream(manifest, course.notes, said, key, voices)
    tokenizer = build_tokenizer(stream.papers(tokenized, FULL), course.size.vocabulary)
    processor = build_processor(tokenizer)
    model = build_model(tokenizer, course.size, course.seed)
    trainer = JudgeTrainer(model, processor, voices.world)
    trainer.align(ALIGN_STEPS)
    for number, term in enumerate(terms):
        if number:
            trainer.model.half().float()  # as it would be saved
            stream = Stream(manifest, course.notes, said, f"{key}-{number + 1}", voices)
        study(trainer, Encoder(processor), stream, term, name)
    return trainer, processor


def study(trainer: JudgeTrainer, encoder: Encoder, stream: Stream, term: Term, name: str) -> None:
    """Train through one term: easy papers first, and drills between them."""
    drilled = int(term.drills * term.steps)
    written = term.steps - drilled
    first = int(term.easy * written)
    easy = islice(stream.batches(encoder, EASY, first), first)
    lessons = chain(easy, stream.batches(encoder, FULL, written - first))
    drills = stream.batches(encoder, DRILL, drilled)
    turns = (
        next(drills if int((k + 1) * term.drills) > int(k * term.drills) else lessons)
        for k in range(term.steps)
    )
    trainer.fit(turns, term.steps, term.rate, see=True, name=name)
