"""Train the small judges from nothing: ``python -m qibox.mini_judges --out DIR``.

Reads this package and the shipped panel. Writes one directory a judge under DIR, in the usual
Hugging Face format with weights in float16; its prompts are those of its manifest's rubric. The
same weights for the same seed, versions and number of threads. Set OMP_WAIT_POLICY=PASSIVE on a
busy machine.
"""

import argparse
import logging
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from qibox.torchvision_ops import declare_missing_operators

declare_missing_operators()

import torch  # noqa: E402
from transformers import Qwen2_5_VLProcessor  # noqa: E402

from qibox.manifests import JudgeManifest, load_manifest  # noqa: E402
from qibox.mini.shipped import MINI  # noqa: E402
from qibox.mini.train.making import ALIGN_STEPS, repeatable, save  # noqa: E402
from qibox.mini_judges.architecture import Size, build_model  # noqa: E402
from qibox.mini_judges.learning import JudgeTrainer  # noqa: E402
from qibox.mini_judges.lessons import SORTED_AT_ONCE, Encoder, PaperBatch, batches  # noqa: E402
from qibox.mini_judges.papers import EASY, FULL, Grade, Paper, papers  # noqa: E402
from qibox.mini_judges.responses import Said, answered, drawn  # noqa: E402
from qibox.mini_judges.tokens import build_processor, build_tokenizer  # noqa: E402

BATCH = 24
TOKENIZED = 3000  # papers that the tokenizer is trained on
ASKED = 600  # scenes that each panel model answers twice


@dataclass(frozen=True)
class Course:
    """What sets one judge apart."""

    size: Size
    seed: int


@dataclass(frozen=True)
class Term:
    """A part of the training, with a schedule of its own."""

    steps: int
    rate: float
    easy: float  # share of the steps, at the beginning, whose papers have no codes


COURSES = {
    "grm-mini": Course(Size(hidden=128, layers=3, inner=256, vocabulary=1280), seed=1),
    "grm-mini-b": Course(Size(hidden=96, layers=4, inner=224, vocabulary=1216), seed=2),
}
TERMS = (Term(steps=800, rate=3e-3, easy=0.65), Term(steps=600, rate=1.5e-3, easy=0.4))


class Stream:
    """Papers without end for one judge, the same for the same key."""

    def __init__(self, manifest: JudgeManifest, said: list[Said], key: str) -> None:
        self._manifest = manifest
        self._key = key
        self._rng = random.Random(key)
        self._responses = drawn(key, said)

    def papers(self, size: int, grade: Grade) -> list[Paper]:
        """The next papers."""
        return papers(self._manifest, self._responses, self._rng, size, grade)

    def batches(self, encoder: Encoder, grade: Grade) -> Iterator[PaperBatch]:
        """All that follow, in batches."""
        drawing = iter(lambda: self.papers(SORTED_AT_ONCE * BATCH, grade), None)
        return batches(encoder, drawing, BATCH, self._key)


def teach(
    name: str, said: list[Said], terms: Sequence[Term]
) -> tuple[JudgeTrainer, Qwen2_5_VLProcessor]:
    """Train one judge on responses that models gave and others that are drawn."""
    manifest, course = load_manifest(JudgeManifest, name), COURSES[name]
    key = f"{name}-{course.seed}"
    stream = Stream(manifest, said, key)
    tokenizer = build_tokenizer(stream.papers(TOKENIZED, FULL), course.size.vocabulary)
    processor = build_processor(tokenizer)
    trainer = JudgeTrainer(build_model(tokenizer, course.size, course.seed), processor, MINI)
    trainer.align(ALIGN_STEPS)
    for number, term in enumerate(terms):
        if number:
            trainer.model.half().float()  # as it would be saved
            stream = Stream(manifest, said, f"{key}-{number + 1}")
        study(trainer, Encoder(processor), stream, term, name)
    return trainer, processor


def study(trainer: JudgeTrainer, encoder: Encoder, stream: Stream, term: Term, name: str) -> None:
    """Train through one term: easy papers first."""
    easy = islice(stream.batches(encoder, EASY), int(term.easy * term.steps))
    lessons = chain(easy, stream.batches(encoder, FULL))
    trainer.fit(lessons, term.steps, term.rate, see=True, name=name)


def main() -> None:
    """Train and write the judges named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m qibox.mini_judges", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory to write judges under")
    parser.add_argument("--judges", nargs="+", choices=COURSES, default=list(COURSES))
    parser.add_argument("--steps", type=int, default=None, help="of each term; for trials")
    parser.add_argument("--asked", type=int, default=ASKED, help="scenes each panel model answers")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("qibox").setLevel(logging.INFO)
    torch.set_num_threads(1)  # the same sums whatever the machine; threads help little at this size
    terms = [replace(term, steps=options.steps or term.steps) for term in TERMS]
    with repeatable():
        for name in options.judges:
            trainer, processor = teach(name, answered(name, options.asked), terms)
            save(trainer, processor, options.out / name)


if __name__ == "__main__":
    main()
