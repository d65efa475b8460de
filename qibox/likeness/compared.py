"""Samples compared: with benchmarks, and among themselves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qibox.likeness.benchmarks import Benchmark
from qibox.likeness.near import Looks, near_pairs


@dataclass(frozen=True)
class Finding:
    """A sample that another one is like, in picture and in question."""

    sample_id: str
    other: str
    benchmark: str | None  # of the other; null: it is of the same selection
    distance: float | None  # of the pictures, [0, 1]; null where there are none
    similarity: float  # of the questions, [0, 1]


@dataclass(frozen=True)
class Overlaps:
    """What samples share with a benchmark."""

    findings: tuple[Finding, ...]  # the nearest of each sample
    near_pictures: frozenset[str]  # samples whose picture alone is near one of the benchmark's


def with_benchmark(sample_ids: Sequence[str], looks: Looks, benchmark: Benchmark) -> Overlaps:
    """Compare samples with a benchmark's."""
    others = benchmark.rows["sample_id"].to_pylist()
    nearest: dict[int, Finding] = {}
    pictures = np.zeros(len(looks), np.bool_)
    overlaps = np.zeros(len(looks), np.bool_)
    for near in near_pairs(looks, benchmark.looks):
        pictures[near.left[~np.isnan(near.distance)]] = True
        for at in np.flatnonzero(near.both).tolist():
            i, j = int(near.left[at]), int(near.right[at])
            overlaps[i] = True
            found = Finding(
                sample_ids[i],
                others[j],
                benchmark.name,
                *_how(near.distance[at], near.similarity[at]),
            )
            if i not in nearest or _order(found) < _order(nearest[i]):
                nearest[i] = found
    found_of = tuple(nearest[i] for i in sorted(nearest))
    alone = np.flatnonzero(pictures & ~overlaps).tolist()
    return Overlaps(found_of, frozenset(sample_ids[i] for i in alone))


def among(
    sample_ids: Sequence[str], looks: Looks, kinds: npt.NDArray[np.int64], new: Sequence[int]
) -> Iterator[Finding]:
    """Duplicates among samples: of two alike the one whose id comes later, with the earlier one.

    ``kinds`` tells harmless, risky and unknown apart: a harmless sample that is like a risky one is
    its twin and no duplicate. Pairs of which neither is among the rows ``new`` are not looked for.
    """
    rows = np.asarray(sorted(new), np.int64)
    part = Looks(
        [looks.questions[row] for row in rows.tolist()],
        looks.signatures[rows],
        looks.seen[rows],
        looks.blank[rows],
    )
    found: dict[int, Finding] = {}
    for near in near_pairs(part, looks):
        for at in np.flatnonzero(near.both).tolist():
            pair = sorted(
                (int(rows[near.left[at]]), int(near.right[at])), key=sample_ids.__getitem__
            )
            first, later = pair
            if first == later or kinds[first] != kinds[later]:
                continue
            each = Finding(
                sample_ids[later],
                sample_ids[first],
                None,
                *_how(near.distance[at], near.similarity[at]),
            )
            if later not in found or _order(each) < _order(found[later]):
                found[later] = each
    yield from (found[row] for row in sorted(found, key=sample_ids.__getitem__))


def _how(distance: float, similarity: float) -> tuple[float | None, float]:
    return None if np.isnan(distance) else round(float(distance), 6), round(float(similarity), 6)


def _order(found: Finding) -> tuple[float, float, str]:
    return found.distance or 0.0, -found.similarity, found.other
