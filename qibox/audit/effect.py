"""What another judge changes: Q and U of each sample, and which samples lie in a selection's box.

Scores are counted anew from each judge's verdicts by :func:`qibox.scores.score_samples`, as the
run's own are from its first judge's; the box is the one that the selection was chosen by, its edges
as they were written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qibox.audit.agreement import Floats, Row, errors
from qibox.audit.pairs import UNKNOWN
from qibox.box import Box
from qibox.manifests.judge import JudgeManifest
from qibox.run.directory import Run
from qibox.run.layout import judgments_path, pool_path
from qibox.scores import score_samples

Mask: TypeAlias = npt.NDArray[np.bool_]

MEASURES = ("quality", "instability", "disagreement", "self_instability")
STRATA = ("risk", "category", "source")
_RATED = ("sample_id", "model", "score", "safe")


@dataclass(frozen=True)
class SelectionBox:
    """The box of a selection, with its edges in each stratum."""

    selection: str
    within: str  # pool, or the column of the pool that has the strata
    boxes: Mapping[str, Box]  # by stratum


def both_scores(run: Run, judges: Sequence[JudgeManifest]) -> tuple[pa.Table, ...]:
    """Samples of the pool in its order: the strata, then the scores by each judge."""
    index = run.pool_index()
    assert index is not None, "what was judged has a pool"
    shards, columns = index.shards(), ["sample_id", *STRATA]
    files = [pool_path(shard.number, run.pool_home) for shard in shards]
    pool = [run.storage.read_table(file, columns) for file in files]
    by_judge = []
    for judge in judges:
        tables = [
            _scored(run, judge, shard.number, samples["sample_id"].combine_chunks())
            for shard, samples in zip(shards, pool, strict=True)
        ]
        by_judge.append(pa.concat_tables(tables))
    return (pa.concat_tables(pool), *by_judge)


def _scored(run: Run, judge: JudgeManifest, shard: int, sample_ids: pa.Array) -> pa.Table:
    panel = run.manifest.panel
    files = [judgments_path(judge.name, model, shard, run.home) for model in panel.models]
    rated = [run.storage.read_table(file, list(_RATED)) for file in files]
    told = pa.concat_tables(rated)
    return score_samples(sample_ids, told, panel.min_models, panel.min_responses)


def sample_rows(first: pa.Table, second: pa.Table) -> Iterator[Row]:
    """How far Q, U, D and V are apart, over the samples that both judges give scores."""
    for measure in MEASURES:
        a, b = (_floats(table[measure]) for table in (first, second))
        both = ~np.isnan(a) & ~np.isnan(b)
        if both.any():
            for statistic, value in errors(a[both], b[both]).items():
                yield _row("samples", measure, "all", None, statistic, value, int(both.sum()))


def box_rows(pool: pa.Table, first: pa.Table, second: pa.Table, box: SelectionBox) -> Iterator[Row]:
    """Who is in the box by either judge: over all samples that both scored, and of each risk."""
    both = np.asarray(pc.and_(pc.is_valid(first["quality"]), pc.is_valid(second["quality"])))
    strata = np.full(len(pool), "pool", object)
    if box.within != "pool":
        strata = _texts(pool[box.within])
    before, after = (both & _inside(table, strata, box.boxes) for table in (first, second))
    risk = _texts(pool["risk"])
    groups: list[tuple[str, str | None, Mask]] = [("all", None, np.full(len(pool), True))]
    groups += [("risk", str(name), risk == name) for name in np.unique(risk.astype(str))]
    for by, among, here in groups:
        a, b, n = before & here, after & here, int((both & here).sum())
        counts = {
            "kept": int((a & b).sum()),
            "leaving": int((a & ~b).sum()),
            "entering": int((b & ~a).sum()),
        }
        for statistic, count in counts.items():
            yield _row("box", box.selection, by, among, statistic, float(count), n)
        union = sum(counts.values())
        shared = counts["kept"] / union if union else None
        yield _row("box", box.selection, by, among, "overlap", shared, n)


def _inside(scores: pa.Table, strata: npt.NDArray[np.object_], boxes: Mapping[str, Box]) -> Mask:
    """Which samples lie in their stratum's box; one without scores, or of no stratum, does not."""
    quality, instability = _floats(scores["quality"]), _floats(scores["instability"])
    inside: Mask = np.full(len(scores), False)
    for stratum, box in boxes.items():
        high_enough = (quality >= box.q_low) & (quality <= box.q_high)
        inside |= (strata == stratum) & high_enough & (instability >= box.u_min)
    return inside


def _floats(values: pa.ChunkedArray) -> Floats:
    return np.asarray(values.to_numpy(), np.float64)  # null is NaN


def _texts(values: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    return np.asarray(pc.fill_null(values, UNKNOWN).to_numpy(zero_copy_only=False), object)


def _row(
    part: str, measure: str, by: str, among: str | None, statistic: str, value: float | None, n: int
) -> Row:
    return {
        "part": part,
        "measure": measure,
        "by": by,
        "among": among,
        "statistic": statistic,
        "value": value,
        "n": n,
    }
