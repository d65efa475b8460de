"""Compares a comparison's arms: a row a pair of arms and measure, as one frame.

Reads the table of :mod:`qibox.comparison.replicates`; which function answers which question is said
in :mod:`qibox.comparison.statistics`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from qibox.comparison.mediators import MEDIATORS
from qibox.comparison.statistics import (
    ALPHA,
    LEAST_REPLICATES,
    Floats,
    area_under_curve,
    holm,
    nested_interval,
    non_inferior_p,
    paired_difference,
    permutation_p,
    smallest_effect,
)
from qibox.manifests.comparison import ComparisonManifest
from qibox.tables import COMPARISONS

if TYPE_CHECKING:
    import pandas as pd

AREA = ", area under the curve"
HELPFUL = ("helpfulness", "none")
UNITS = ["world", "seed"]  # a replicate
DECIMALS = 6  # tools sum in different orders

Differences = Mapping[tuple[str, str], Sequence[Floats]]  # of samples, a replicate each, by pair


@dataclass(frozen=True)
class _Question:
    """A measure that arms are compared in."""

    role: str
    judge: str | None
    measure: str
    among: str | None


def comparisons_table(
    plan: ComparisonManifest, replicates: pa.Table, samples: Differences
) -> pa.Table:
    """Each arm beside each opponent in each measure, as :data:`qibox.tables.COMPARISONS` has it.

    Args:
        replicates: as :data:`qibox.tables.REPLICATES` has it.
        samples: of the primary measure by the first judge, for each pair of arms.

    The primary measure is the plan's, by the judge that is first in the plan, at the last step. All
    others that say something of safety or helpfulness are secondary, and Holm's over all of them.
    """
    frame = _with_areas(plan, replicates.to_pandas())
    last = frame["step"].max()
    frame = frame[frame["step"] == last]
    rows: list[dict[str, Any]] = []
    for question in _questions(plan, frame):
        values = _by_arm(frame, question)
        for arm, against in pairs_of(plan):
            both = values.reindex(columns=[arm, against]).dropna()
            if len(both):
                one, other = both[arm].to_numpy(float), both[against].to_numpy(float)
                rows.append(
                    {"comparison": plan.name, "arm": arm, "against": against}
                    | asdict(question)
                    | _compared(plan, question, one, other, samples.get((arm, against), ()))
                )
    secondary = [row for row in rows if row["role"] == "secondary"]
    for row, p in zip(secondary, holm([row["p"] for row in secondary]), strict=True):
        row["p_holm"] = p
    return pa.Table.from_pylist([_nulls(row) for row in rows], schema=COMPARISONS)


def pairs_of(plan: ComparisonManifest) -> list[tuple[str, str]]:
    """Each arm with each opponent but itself, and no two the other way round again."""
    pairs: list[tuple[str, str]] = []
    for against in plan.opponents:
        for arm in (arm.name for arm in plan.arms):
            if arm != against and (against, arm) not in pairs:
                pairs.append((arm, against))
    return pairs


def _questions(plan: ComparisonManifest, frame: "pd.DataFrame") -> Iterator[_Question]:
    """The primary one first, then what else was measured, as the rows have it."""
    judges = list(dict.fromkeys(frame["judge"].dropna()))
    if not judges:
        return
    first = first_judge(plan, judges)
    yield _Question("primary", first, plan.measure, plan.among)
    shares = [("safety", "implicit"), ("safety", "explicit"), HELPFUL, ("over-refusal", "none")]
    for judge in sorted(judges, key=lambda each: each != first):
        for measure, among in [*shares, (f"{plan.measure}{AREA}", plan.among)]:
            if (judge, measure, among) != (first, plan.measure, plan.among):
                yield _Question("secondary", judge, measure, among)
    for name in MEDIATORS:
        yield _Question("mediator", None, name, None)


def first_judge(plan: ComparisonManifest, there: Sequence[str]) -> str:
    """The judge that decides: the plan's first, where it rated anything, else the table's first.

    One that is asked of the last step alone never decides beside another.
    """
    named, last = judge_names(plan.judges), judge_names(plan.last_judges)
    rest = [judge for judge in there if judge not in last] or list(there)
    return next((judge for judge in named if judge in there), rest[0])


def judge_names(judges: Sequence[str]) -> list[str]:
    """What judges are called in tables; a manifest's path ends in its name."""
    return [judge.rpartition("/")[2].removesuffix(".yaml") for judge in judges]


def _by_arm(frame: "pd.DataFrame", question: _Question) -> "pd.DataFrame":
    """Values of one measure, a row a replicate and a column an arm."""
    known = frame["measure"] == question.measure
    for column, value in (("judge", question.judge), ("among", question.among)):
        known &= frame[column].isna() if value is None else frame[column] == value
    return frame[known].pivot_table(index=UNITS, columns="arm", values="value")


def _compared(
    plan: ComparisonManifest,
    question: _Question,
    arm: Floats,
    other: Floats,
    samples: Sequence[Floats],
) -> dict[str, Any]:
    found = paired_difference(arm, other)
    row = {
        "replicates": found.n,
        "arm_mean": float(arm.mean()),
        "against_mean": float(other.mean()),
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "p_permutation": permutation_p(arm, other),
        "spread": found.spread,
        "correlation": found.correlation,
        "smallest_effect": smallest_effect(found.spread, found.n),
    }
    if question.role == "primary" and samples:
        row["nested_low"], row["nested_high"] = nested_interval(samples)
    if (question.measure, question.among) == HELPFUL:
        row["p_non_inferior"] = non_inferior_p(arm - other, plan.margin)
    return row


def _with_areas(plan: ComparisonManifest, frame: "pd.DataFrame") -> "pd.DataFrame":
    """The rows, and for each learning curve of the primary measure one of its area."""
    import pandas as pd

    curves = frame[(frame["measure"] == plan.measure) & (frame["among"] == plan.among)]
    rows = []
    for _, curve in curves.dropna(subset=["value", "judge"]).groupby([*UNITS, "arm", "judge"]):
        if len(curve) == len(plan.checkpoints) + 1 > 1:
            curve = curve.sort_values("step")
            area = area_under_curve(curve["step"].tolist(), curve["value"].to_numpy(float))
            last = curve.iloc[-1].to_dict()
            rows.append(last | {"measure": f"{plan.measure}{AREA}", "value": area})
    return pd.concat([frame, pd.DataFrame(rows)]) if rows else frame


def verdict(plan: ComparisonManifest, row: Mapping[str, Any], helpful: Mapping[str, Any]) -> str:
    """What a primary comparison says, in a sentence: a null as plainly as a gain.

    Args:
        row: of the primary measure.
        helpful: the row of helpfulness of the same pair; may be empty.
    """
    arm, against, n = row["arm"], row["against"], row["replicates"]
    if n < LEAST_REPLICATES:
        return (
            f"{arm} and {against}: with {n} of at least {LEAST_REPLICATES} replicates nothing can "
            "be significant"
        )
    if max(row["p"], row["p_permutation"]) >= ALPHA:
        return (
            f"no difference between {arm} and {against} was shown: one of "
            f"{100 * row['smallest_effect']:.1f} points would have been found four times out of "
            "five"
        )
    better = row["difference"] > 0
    if not better:
        return f"{against} beats {arm}"
    p = helpful.get("p_non_inferior")
    if p is None or p >= ALPHA:
        return (
            f"{arm} beats {against}, but that its helpfulness is not less by {100 * plan.margin:g} "
            "points or more was not shown"
        )
    return f"{arm} beats {against}, and its helpfulness is not inferior"


def _nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with null for NaN, rounded."""
    return {
        name: (None if np.isnan(value) else round(value, DECIMALS))
        if isinstance(value, float)
        else value
        for name, value in row.items()
    }
