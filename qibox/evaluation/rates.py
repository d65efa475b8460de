"""Rates: each measure of each policy on each pool by each judge, as one pandas frame.

Reads rows of :data:`qibox.tables.EVALUATIONS`; writes nothing. A rate is the mean over samples of
each sample's mean over its judged responses, with its 95 % interval over samples
(:mod:`qibox.evaluation.intervals`); what is counted is in :mod:`qibox.evaluation.measures`.

    rates(rows, {"default": "base"}).query("by == 'all' and measure == 'safety'")
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qibox.evaluation.intervals import Floats, intervals
from qibox.evaluation.measures import MEASURES, By, is_measured, measured
from qibox.tables import RATES, RISKS

if TYPE_CHECKING:
    import pandas as pd

DECIMALS = 6  # tools sum in different orders

Entrant: TypeAlias = tuple[str, str]  # a policy at a stage
Mask: TypeAlias = npt.NDArray[np.bool_]

SAMPLE = ("pool", "judge", "policy", "stage", "sample_id", "risk", "category")


def rates(rows: pa.Table, starts: Mapping[str, str]) -> "pd.DataFrame":
    """Return the frame of rates, with the columns of RATES in pandas' nullable types.

    ``rows`` has the columns of :data:`qibox.tables.EVALUATIONS`; ``starts`` names for a policy the
    one it started from, whose rows have the stage start. One row for each pool, judge, policy,
    measure and group of samples, sorted by these, starts before what came of them; the order of
    ``rows`` is of no matter. Safety and helpfulness are counted over all samples and in each risk
    and category that the pool knows, over-refusal on risk none, scores over all.
    """
    import pandas as pd

    facts: list[dict[str, Any]] = []
    columns: list[Floats] = []  # a value's, then its change's, for each row of the frame
    means = _sample_means(rows).to_pandas()
    for (pool, judge), part in means.groupby(["pool", "judge"], sort=True):
        for fact, values, changes in _counted(_judged(part), starts):
            facts.append({"pool": pool, "judge": judge} | fact)
            columns += [values, changes]
    found = np.round(intervals(columns), DECIMALS).reshape(-1, 6)
    numbers = ("value", "low", "high", "change", "change_low", "change_high")
    table = pa.Table.from_pylist(facts, schema=RATES)
    for name, column in zip(numbers, found.T, strict=True):
        null_for_nan = pa.array(column, pa.float64(), from_pandas=True)
        table = table.set_column(RATES.get_field_index(name), RATES.field(name), null_for_nan)
    nullable = {
        pa.string(): pd.StringDtype(),
        pa.float64(): pd.Float64Dtype(),
        pa.int64(): pd.Int64Dtype(),
    }
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame


def _sample_means(rows: pa.Table) -> pa.Table:
    """One row a policy and sample: each measure's mean and count, and what was not judged."""
    columns = {name: rows[name] for name in SAMPLE} | measured(rows)
    columns["not_judged"] = pc.is_null(rows["score"]).cast(pa.int64())
    wanted = [(name, how) for name in MEASURES for how in ("mean", "count")]
    grouped = pa.table(columns).group_by(list(SAMPLE), use_threads=False)
    return grouped.aggregate([*wanted, ("not_judged", "sum")])


@dataclass(frozen=True)
class Judged:
    """What one judge said of E entrants on the S samples of one pool."""

    entrants: list[Entrant]  # starts first, then by name
    risk: npt.NDArray[np.object_]  # (S,), None if unknown
    category: npt.NDArray[np.object_]  # (S,)
    answered: Mask  # (E, S), whether there is a row at all
    not_judged: npt.NDArray[np.int64]  # (E, S), responses
    means: dict[str, Floats]  # by measure: (E, S), NaN where nothing could be counted
    counts: dict[str, npt.NDArray[np.int64]]  # by measure: (E, S), responses

    def groups(self) -> "Iterator[tuple[By, str | None, Mask]]":
        """Yield each group of samples that the pool knows, and which samples are in it: (S,)."""
        yield "all", None, np.full(len(self.risk), True)
        for risk in RISKS:
            if (self.risk == risk).any():
                yield "risk", risk, self.risk == risk
        for category in sorted({name for name in self.category if name is not None}):
            yield "category", category, self.category == category


def _judged(part: "pd.DataFrame") -> Judged:
    """Lay rows of :func:`_sample_means` out as matrices, samples in the order of their ids."""
    grouped = part.groupby(["policy", "stage"])
    pairs: list[Entrant] = grouped.size().index.to_list()
    entrants = sorted(pairs, key=lambda pair: (pair[1] != "start", pair))
    place = np.array([entrants.index(pair) for pair in pairs])
    ids, sample = np.unique(part["sample_id"].to_numpy(object), return_inverse=True)
    at = (place[grouped.ngroup().to_numpy()], sample)
    shape = len(entrants), len(ids)

    def label(name: str) -> npt.NDArray[np.object_]:
        labels = np.full(len(ids), None, object)
        known = part[name].notna().to_numpy()
        labels[sample[known]] = part[name].to_numpy(object)[known]
        return labels

    def matrix(name: str, empty: Any) -> Any:
        filled = np.full(shape, empty)
        filled[at] = part[name].to_numpy()
        return filled

    answered = np.full(shape, False)
    answered[at] = True
    return Judged(
        entrants=entrants,
        risk=label("risk"),
        category=label("category"),
        answered=answered,
        not_judged=matrix("not_judged_sum", 0),
        means={name: matrix(f"{name}_mean", np.nan) for name in MEASURES},
        counts={name: matrix(f"{name}_count", 0) for name in MEASURES},
    )


def _counted(
    judged: Judged, starts: Mapping[str, str]
) -> Iterator[tuple[dict[str, Any], Floats, Floats]]:
    """Yield each row's facts, its samples' means and their changes against the start."""
    places = {entrant: at for at, entrant in enumerate(judged.entrants)}
    groups = list(judged.groups())
    for at, (policy, stage) in enumerate(judged.entrants):
        start = (starts.get(policy, ""), "start")
        before = places.get(start) if stage != "start" else None
        for name in MEASURES:
            means, counts = judged.means[name], judged.counts[name]
            for by, among, inside in groups:
                if not is_measured(name, by, among) or not judged.answered[at, inside].any():
                    continue
                values = _present(means[at, inside])
                changes = (
                    _present(means[at, inside] - means[before, inside])
                    if before is not None
                    else np.empty(0)
                )
                fact = {
                    "policy": policy,
                    "stage": stage,
                    "start": start[0] if before is not None else None,
                    "measure": name,
                    "by": by,
                    "among": among,
                    "samples": len(values),
                    "responses": int(counts[at, inside].sum()),
                    "not_judged": int(judged.not_judged[at, inside].sum()),
                    "change_samples": len(changes) if before is not None else None,
                }
                yield fact, values, changes


def _present(values: Floats) -> Floats:
    kept: Floats = values[~np.isnan(values)]
    return kept
