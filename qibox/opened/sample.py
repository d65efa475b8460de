"""One sample of a run with all that is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One response and what the judges said of it."""

    response: Mapping[str, Any]  # the columns of qibox.tables.RESPONSES
    judgments: tuple[Mapping[str, Any], ...]  # of qibox.tables.JUDGMENTS, by judge


@dataclass(frozen=True)
class Sample:
    """One sample, its scores and its answers; what is not there yet is None or empty."""

    row: Mapping[str, Any]  # the columns of qibox.tables.POOL
    scores: Mapping[str, Any] | None  # of qibox.tables.SCORES
    answers: tuple[Answer, ...]  # by model, then k
    selections: tuple[str, ...]  # names of those that hold it

    def __repr__(self) -> str:
        scores = self.scores or {}
        named = (f"{name} {scores[name]}" for name in ("quality", "instability") if name in scores)
        said = ", ".join([f"{len(self.answers)} answers", *named])
        return f"<sample {self.row['sample_id']!r}: {self.row['question']!r}, {said}>"

    def _repr_html_(self) -> str:
        """Picture, question, scores, answers and verdicts; whatever they hold is text."""
        from qibox.opened.html import framed, opened

        return framed(opened(self))

    @property
    def image(self) -> bytes | None:
        """The picture's bytes as published; None for a text-only sample."""
        picture = self.row["image"]
        return picture["bytes"] if picture else None
