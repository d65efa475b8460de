"""Intervals of quality and instability, and how likely a sample lies in a box.

A sample's interval runs between the 2.5th and 97.5th percentile of its resampled scores
(:mod:`qibox.confidence.bootstrap`); P(in box) is the share of resamples that lie in the box, of
those of its stratum. What K would have been enough is told by drawing K' answers of each model,
the models as they are: the smallest K' at which a sample is on average on the same side of the box,
in or out, as often as is wanted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from qibox.confidence.bootstrap import (
    RESAMPLES,
    Resampled,
    draws,
    draws_of_answers,
    recentred,
    resampled,
)
from qibox.confidence.grid import Grid, grids
from qibox.run.directory import Run

Floats = npt.NDArray[np.float64]

COVERAGE = (2.5, 97.5)  # percentiles of an interval
ANSWERS = (1, 2, 3, 5, 8, 12, 20, 32)  # K that are tried
ANSWERS_RESAMPLES = 100  # of each of them
DECIMALS = 6

INTERVALS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("quality", pa.float64()),
        ("quality_low", pa.float64()),
        ("quality_high", pa.float64()),
        ("instability", pa.float64()),
        ("instability_low", pa.float64()),
        ("instability_high", pa.float64()),
        ("in_box", pa.bool_()),  # as scored
        ("p_in_box", pa.float64()),  # share of resamples, [0, 1]
    ]
)

EdgesOf = Callable[[pa.Array], Floats]  # (n, 3) of these samples: q_low, q_high, u_min


@dataclass(frozen=True)
class Intervals:
    """What resampling came to, over a run's scored samples."""

    rows: pa.Table  # of :data:`INTERVALS`
    agreement: Mapping[int, float]  # by K: mean share of resamples on the same side of the box


def intervals(
    run: Run,
    edges_of: EdgesOf,
    resamples: int = RESAMPLES,
    seed: int = 0,
    answers: Sequence[int] = (),
    told: Callable[[int], None] | None = None,
) -> Intervals:
    """Resample a scored run; ``answers`` are the K to try, ``told`` hears of samples done."""
    panel = run.manifest.panel
    models, drawn = len(panel.models), panel.sampling.samples
    taken = draws(models, drawn, resamples, seed)
    fewer = {k: draws_of_answers(models, drawn, k, ANSWERS_RESAMPLES, seed) for k in answers}
    tables, same, count = [], dict.fromkeys(answers, 0.0), 0
    for grid in grids(run):
        edges = edges_of(grid.sample_ids)
        inside = _inside(edges, grid.quality[:, None], grid.instability[:, None])[:, 0]
        found = recentred(resampled(grid.scores, grid.counts, taken), grid.instability)
        tables.append(_rows(grid, found, edges, inside))
        for k, by in fewer.items():
            redrawn = _rounded(resampled(grid.scores, grid.counts, by))
            there = _inside(edges, redrawn.quality, redrawn.instability)
            same[k] += float((there == inside[:, None]).mean(axis=1).sum())
        count += len(grid.sample_ids)
        if told is not None:
            told(len(grid.sample_ids))
    rows = pa.concat_tables(tables) if tables else INTERVALS.empty_table()
    return Intervals(rows, {k: total / max(count, 1) for k, total in same.items()})


def enough(agreement: Mapping[int, float], wanted: float) -> int | None:
    """The smallest K that was tried whose agreement is at least ``wanted``; None if none's is."""
    return next((k for k in sorted(agreement) if agreement[k] >= wanted), None)


def _rows(grid: Grid, found: Resampled, edges: Floats, inside: npt.NDArray[np.bool_]) -> pa.Table:
    known = _rounded(found)
    share = _inside(edges, known.quality, known.instability).mean(axis=1)
    q_low, q_high = _percentiles(known.quality)
    u_low, u_high = _percentiles(known.instability)
    columns = [grid.sample_ids, grid.quality, q_low, q_high, grid.instability, u_low, u_high]
    return pa.table([*columns, inside, np.round(share, DECIMALS)], schema=INTERVALS)


def _rounded(found: Resampled) -> Resampled:
    """As scores are written, so that edges are met as they are."""
    return Resampled(np.round(found.quality, DECIMALS), np.round(found.instability, DECIMALS))


def _percentiles(values: Floats) -> Floats:
    """(2, n) of (n, B); a resample that drew nothing of a sample is left out."""
    among = np.nanpercentile if np.isnan(values).any() else np.percentile
    found: Floats = among(values, COVERAGE, axis=1)
    return np.round(found, DECIMALS)


def _inside(edges: Floats, quality: Floats, instability: Floats) -> npt.NDArray[np.bool_]:
    """Which of (n, B) scores lie in their sample's box; NaN lies in none."""
    low, high, least = (edges[:, [at]] for at in range(3))
    inside: npt.NDArray[np.bool_] = (quality >= low) & (quality <= high) & (instability >= least)
    return inside
