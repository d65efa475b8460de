"""Papers as token batches, in the very order that the chat template gives at judging time.

What all rows of a batch begin with (the system turn, in the main) stands once, before the rest: a
decoder reads it the same whatever follows, so training reads it once a batch. Rows are of like
length, padded on the right.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch

from qibox.engines.chat import Neutraliser, messages
from qibox.engines.transformers import IMAGE_PART
from qibox.mini.train.lessons import IGNORED, Batch, cell_kinds
from qibox.mini.train.words import IMAGE, TURN_END
from qibox.mini.world import CELLS
from qibox.mini_judges.papers import Paper

LONGEST = 640  # tokens of a paper; the few that are longer teach nothing new
SORTED_AT_ONCE = 24  # batches


@dataclass(frozen=True)
class PaperBatch(Batch):
    """Papers as tensors; ``ids`` and ``labels`` are what follows the tokens that all rows share."""

    prefix: torch.Tensor  # (P,) token ids that every row begins with, before any picture
    picture: int  # where the picture's CELLS tokens begin in ``ids``, the same in every row


class Encoder:
    """Writes papers as tokens, as the engine would write their prompts."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._neutralise = Neutraliser.of_tokenizer(self._tokenizer)
        self.image: int = self._tokenizer.convert_tokens_to_ids(IMAGE)
        self._pad: int = self._tokenizer.pad_token_id

    def tokens(self, papers: Sequence[Paper]) -> list[tuple[list[int], list[int]]]:
        """A paper's prompt and the verdict to write, as ids."""
        prompts = [self._prompt(paper) for paper in papers]
        verdicts = [p.verdict + (TURN_END if p.whole else "") for p in papers]
        read = self._tokenizer(prompts, add_special_tokens=False)["input_ids"]
        written = self._tokenizer(verdicts, add_special_tokens=False)["input_ids"]
        return list(zip(read, written, strict=True))

    def _prompt(self, paper: Paper) -> str:
        turns = messages(self._neutralise(paper.prompt), paper.system, IMAGE_PART)
        text: str = self._processor.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True
        )
        return text.replace(IMAGE, IMAGE * CELLS)  # as the processor does

    def _shared(self, column: tuple[int, ...]) -> bool:
        """Whether all rows have the same token there; pictures differ where their tokens do not."""
        return column[0] != self.image and len(set(column)) == 1

    def batch(self, rows: Sequence[tuple[Paper, list[int], list[int]]]) -> PaperBatch:
        """Put papers of one world into one batch."""
        columns = takewhile(self._shared, zip(*(read for _, read, _ in rows), strict=False))
        shared = [column[0] for column in columns]
        start = len(shared)
        longest = max(len(read) + len(written) for _, read, written in rows) - start
        ids, labels = [], []
        for _, read, written in rows:
            padding = longest - (len(read) - start + len(written))
            ids.append(read[start:] + written + [self._pad] * padding)
            labels.append([IGNORED] * (len(read) - start) + written + [IGNORED] * padding)
        (picture,) = {row.index(self.image) for row in ids}
        known = cell_kinds(rows[0][0].scene.world)
        kinds = [[known.index(cell) for cell in paper.scene.cells] for paper, *_ in rows]
        return PaperBatch(
            torch.tensor(ids),
            torch.tensor(labels),
            torch.tensor(kinds),
            torch.tensor(shared, dtype=torch.long),
            picture,
        )


def batches(
    encoder: Encoder, papers: Iterator[list[Paper]], size: int, seed: str
) -> Iterator[PaperBatch]:
    """Batches without end: ``papers`` yields them by the :data:`SORTED_AT_ONCE` × ``size``."""
    rng = random.Random(f"order-{seed}")
    for drawn in papers:
        rows = [(p, *ids) for p, ids in zip(drawn, encoder.tokens(drawn), strict=True)]
        rows = [row for row in rows if len(row[1]) + len(row[2]) <= LONGEST]
        groups = []
        for system in sorted({row[0].system or "" for row in rows}):
            alike = [row for row in rows if (row[0].system or "") == system]
            alike.sort(key=lambda row: len(row[1]) + len(row[2]))
            groups += [alike[i : i + size] for i in range(0, len(alike), size)]
        rng.shuffle(groups)
        yield from (encoder.batch(group) for group in groups)
