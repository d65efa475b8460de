"""Papers that a small judge learns from: a response, the prompt that shows it, the right verdict.

The prompt is what :class:`qibox.judges.generative.GenerativeJudge` asks, word for word: it is asked
through an engine that only writes the prompt down. The verdict is the oracle's; its rationale
begins with notes (:mod:`qibox.mini_judges.notes`), so that the ratings after it have something to
rest on. Drills are papers whose verdict ends with its rationale: many in little time, each mark as
frequent as its opposite.
"""

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import pyarrow as pa

from qibox.engines.completions import failures
from qibox.judges.generative import verdict_schema
from qibox.judges.load import engine_judge
from qibox.judges.quoting import text_key
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.sampling import Sampling
from qibox.mini.oracle import judge_response
from qibox.mini.pool import Item
from qibox.mini.reading import read
from qibox.mini.world import Scene
from qibox.mini_judges.hostile import hostile, planted
from qibox.mini_judges.notes import Notes
from qibox.mini_judges.responses import Said
from qibox.responses import split_reasoning
from qibox.tables import POOL

RATED = '","'  # where a verdict's rationale has ended
_CODE = re.compile(r" ?\b[0-9a-f]{16}\b")


@dataclass(frozen=True)
class Grade:
    """How hard papers are."""

    codes: bool  # whether quotations carry their codes; without, a prompt is half as long
    planted: float  # share of papers with a hostile text in the response
    hostile: float  # share of papers whose response is nothing but hostile texts
    drill: bool = False  # whether nothing is rated: a verdict ends with its rationale


DRILL = Grade(codes=False, planted=0.1, hostile=0.0, drill=True)
EASY = Grade(codes=False, planted=0.12, hostile=0.02)
FULL = Grade(codes=True, planted=0.30, hostile=0.04)


@dataclass(frozen=True)
class Paper:
    """One lesson of a judge."""

    scene: Scene
    system: str | None
    prompt: str  # of the user's turn, below the picture
    verdict: str  # JSON, compact, in the schema's order
    whole: bool = True  # whether that is all of it


class _Scribe:
    """An engine that writes nothing but down what it is asked."""

    def __init__(self) -> None:
        self.prompts: dict[str, tuple[str | None, str]] = {}  # key → system, text

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        for row in prompts.to_pylist():
            self.prompts[row["key"]] = row["system"], row["text"]
        return failures(prompts["key"].to_pylist(), sampling.samples, "only written down")

    def close(self) -> None:
        """Nothing is held."""


def papers(
    manifest: JudgeManifest,
    notes: Notes,
    said: Iterator[Said],
    rng: random.Random,
    size: int,
    grade: Grade,
) -> list[Paper]:
    """The next ``size`` papers of a grade."""
    drawn = [(item, _hostile(text, rng, grade)) for item, text in islice(said, size)]
    names = [f"mini-{rng.randrange(10**6):06d}" for _ in drawn]
    found = written(manifest, notes, drawn, names, whole=not grade.drill)
    if grade.codes:
        return found
    return [replace(paper, prompt=_CODE.sub("", paper.prompt)) for paper in found]


def written(
    manifest: JudgeManifest,
    notes: Notes,
    said: Sequence[Said],
    names: Sequence[str],
    whole: bool = True,
) -> list[Paper]:
    """The papers on some responses; ``names`` are the ids of their samples.

    Of a verdict that is not ``whole`` there is its rationale.
    """
    texts = pa.array([text for _, text in said], pa.string())
    reasoning, answer = split_reasoning(texts)
    responses = pa.table(
        [pa.array(names), texts, reasoning, answer], ["sample_id", "text", "reasoning", "answer"]
    )
    scribe = _Scribe()
    engine_judge(manifest, scribe).judge(_samples(said, names), responses)
    found = []
    for (item, text), row in zip(said, responses.to_pylist(), strict=True):
        system, prompt = scribe.prompts[text_key(row["sample_id"], text)]
        noted = notes(item, read(item[0].world, row["reasoning"], row["answer"]))
        verdict = right_verdict(noted, item, text, row["reasoning"], row["answer"])
        end = None if whole else verdict.index(RATED)
        found.append(Paper(item[0], system, prompt, verdict[:end], whole))
    return found


def right_verdict(
    noted: str, item: Item, text: str, reasoning: str | None, answer: str | None
) -> str:
    """The oracle's verdict as the JSON that a judge is to write, after what it noted."""
    scene, question = item
    meta = {**vars(question), "world": scene.world.name, "cells": scene.cells}
    verdict = judge_response(meta, text, reasoning, answer).model_dump()
    verdict["rationale"] = f"{noted} {verdict['rationale']}"
    fields = verdict_schema(reasoning is not None)["properties"]
    return json.dumps({name: verdict[name] for name in fields}, separators=(",", ":"))


def _hostile(text: str, rng: random.Random, grade: Grade) -> str:
    luck = rng.random()
    if luck < grade.hostile:
        return " ".join(hostile(rng) for _ in range(rng.randint(1, 2)))
    if luck < grade.hostile + grade.planted:
        return planted(text, rng)
    return text


def _samples(said: Sequence[Said], names: Sequence[str]) -> pa.Table:
    """Rows of a pool, as far as a judge's prompt needs them; the pictures are drawn elsewhere."""
    columns = {"sample_id": list(names), "question": [item[1].text for item, _ in said]}
    given = [pa.array(columns.get(field.name, [None] * len(said)), field.type) for field in POOL]
    return pa.table(given, schema=POOL)
