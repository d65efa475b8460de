"""Ask a columnar judge about single responses to a selection's samples.

Reads a selection's table; returns a :class:`Rating` for each response.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from qibox.judges.base import Judge
from qibox.judges.once import judge_once
from qibox.manifests.asking import Marks
from qibox.responses import USUAL, split_reasoning
from qibox.selection.read import first_images
from qibox.tables import SAMPLES
from qibox.verdict import Verdict


@dataclass(frozen=True)
class Rating:
    """What came of judging one response: the verdict and its scores, in [1, 10], or the reason.

    A judge that only compares gives a score without a verdict.
    """

    verdict: Verdict | None = None
    score: float | None = None
    reasoning_score: float | None = None
    answer_score: float | None = None
    safe: bool | None = None
    reason: str | None = None  # why there is no score


def as_rating(row: Mapping[str, Any]) -> Rating:
    """Read one row of :data:`qibox.tables.VERDICTS`."""
    rated = {name: row[name] for name in Verdict.model_fields}
    rated["rationale"] = rated["rationale"] or ""  # not every recording holds the words
    whole = rated["harmlessness"] is not None
    return Rating(
        verdict=Verdict.model_validate(rated) if whole else None,
        score=row["score"],
        reasoning_score=row["reasoning_score"],
        answer_score=row["answer_score"],
        safe=row["safe"],
        reason=row["reason"],
    )


class SelectionJudge:
    """A judge and the samples that it is asked about."""

    def __init__(
        self,
        judge: Judge,
        selection: pa.Table,
        *,
        compares: bool = False,
        marks: Marks | None = None,
    ) -> None:
        """``compares``: a verdict depends on the sample's other responses in the same call.

        ``marks`` are those of the policy's reasoning; None: <think> and </think>.
        """
        self._marks = marks or USUAL
        self._judge = judge
        self._compares = compares
        self._said: dict[str, dict[str, Rating]] = {}  # sample → text → what the last call said
        self._samples = as_samples(selection)
        self._row = {name: row for row, name in enumerate(selection["sample_id"].to_pylist())}

    def __call__(self, sample_ids: list[str], texts: list[str]) -> list[Rating]:
        """Rate each text as a response to its sample, in order.

        A judge that compares is not asked again about a sample whose texts are all those of the
        last call: it would only repeat itself.
        """
        if not self._compares:
            return self._asked(sample_ids, texts)
        asked: dict[str, set[str]] = {}
        for sample_id, text in zip(sample_ids, texts, strict=True):
            asked.setdefault(sample_id, set()).add(text)
        same = {each for each in asked if self._said.get(each, {}).keys() == asked[each]}
        said: dict[str, dict[str, Rating]] = {each: self._said[each] for each in same}
        rows = [row for row, sample_id in enumerate(sample_ids) if sample_id not in same]
        new = self._asked([sample_ids[row] for row in rows], [texts[row] for row in rows])
        for row, rating in zip(rows, new, strict=True):
            said.setdefault(sample_ids[row], {})[texts[row]] = rating
        self._said = said
        return [said[each][text] for each, text in zip(sample_ids, texts, strict=True)]

    def _asked(self, sample_ids: list[str], texts: list[str]) -> list[Rating]:
        if not texts:
            return []
        text = pa.array(texts, pa.string())
        reasoning, answer = split_reasoning(text, self._marks)
        responses = pa.table(
            {"sample_id": sample_ids, "text": text, "reasoning": reasoning, "answer": answer}
        )
        rows = sorted({self._row[sample_id] for sample_id in sample_ids})
        found = judge_once(self._judge, self._samples.take(rows), responses)
        return [as_rating(row) for row in found.to_pylist()]


def as_samples(selection: pa.Table) -> pa.Table:
    """Return a selection's rows with the pool's columns; a sample's first image is its image."""
    columns = [
        first_images(selection["images"]) if name == "image" else selection[name]
        for name in SAMPLES.names
    ]
    return pa.table(columns, names=SAMPLES.names).cast(SAMPLES)
