"""How alike a step's reflections are: the measurements behind the alarm of a template."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from qibox.grpo.monitors.alarms import DISTINCT, SIMILARITY

Pairs = frozenset[tuple[str, str]]


def likeness(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Similarity and distinctness of a step's reflections, in [0, 1]; None below two samples'.

    One reflection a sample, for those on one sample are right to be alike. reflection_similarity:
    the mean over them of the largest Jaccard index of word pairs with another one.
    reflection_distinct: distinct word pairs over all word pairs (distinct-2, arXiv 1510.03055).
    """
    first: dict[str, str] = {}
    for row in rows:
        if row["reflection"] is not None:
            first.setdefault(row["sample_id"], row["reflection"])
    texts = list(first.values())
    if len(texts) < 2:
        return {SIMILARITY: None, DISTINCT: None}
    words = [text.lower().split() for text in texts]
    pairs = [list(pairwise(each)) or [(text, "")] for each, text in zip(words, texts, strict=True)]
    sets: list[Pairs] = [frozenset(each) for each in pairs]
    nearest = [
        max(_jaccard(one, other) for j, other in enumerate(sets) if j != i)
        for i, one in enumerate(sets)
    ]
    every = [pair for each in pairs for pair in each]
    return {
        SIMILARITY: sum(nearest) / len(nearest),
        DISTINCT: len(set(every)) / len(every),
    }


def _jaccard(one: Pairs, other: Pairs) -> float:
    return len(one & other) / len(one | other)
