"""A comparison in words: report.md, what decided first, nulls as plainly as gains."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from qibox.comparison.analysis import HELPFUL, verdict
from qibox.comparison.registration import Registered
from qibox.manifests.comparison import ComparisonManifest
from qibox.markdown import markdown_table

Row = Mapping[str, Any]


def report(
    plan: ComparisonManifest,
    replicates: pa.Table,
    comparisons: pa.Table,
    wanted: int,
    registered: Registered | None,
) -> str:
    """Return the report as Markdown.

    Args:
        replicates, comparisons: as the tables of these names have them.
        wanted: replicates that the plan has.
        registered: what was registered before the first training; None: nothing was.
    """
    rows = comparisons.to_pylist()
    lines = [f"# {plan.name}", "", plan.about, "", *_what(plan, replicates, wanted), ""]
    lines += ["## Verdict", "", *(f"- {each}" for each in verdicts(plan, rows)), ""]
    lines += ["## Means at the last step", "", *_means(replicates), ""]
    for role, title in (
        ("primary", "Primary measure"),
        ("secondary", "Secondary measures, p adjusted by Holm over all of them"),
        ("mediator", "How each arm's training went"),
    ):
        chosen = [row for row in rows if row["role"] == role]
        if chosen:
            lines += [f"## {title}", "", *_differences(chosen), ""]
    lines += ["## Registration", "", _registration(registered), ""]
    return "\n".join(lines)


def verdicts(plan: ComparisonManifest, rows: Sequence[Row]) -> list[str]:
    """A sentence a pair of arms."""
    found = []
    for row in rows:
        if row["role"] == "primary":
            pair = (row["arm"], row["against"], row["judge"])
            helpful = next(
                (
                    each
                    for each in rows
                    if (each["arm"], each["against"], each["judge"]) == pair
                    and (each["measure"], each["among"]) == HELPFUL
                ),
                {},
            )
            found.append(verdict(plan, row, helpful))
    return found or ["nothing to compare yet: no two arms of a replicate are evaluated"]


def _what(plan: ComparisonManifest, replicates: pa.Table, wanted: int) -> list[str]:
    there = len(replicates.group_by(["world", "seed"]).aggregate([]))
    return [
        f"{len(plan.arms)} arms, {there} of {wanted} replicates; primary measure: {plan.measure} "
        f"on {plan.among} risk of first answers. Differences are in percentage points, arm less "
        "opponent, paired within replicates, with Student's t interval of 95 %; nested: over "
        "replicates and samples, studentised bootstrap.",
        "",
        *markdown_table(
            ("arm", "select", "train"), [(a.name, a.select, a.train or "–") for a in plan.arms]
        ),
    ]


def _means(replicates: pa.Table) -> list[str]:
    """A row an arm, a column a share of the first answers; the mean over replicates."""
    frame = replicates.to_pandas()
    if frame.empty:
        return ["none yet"]
    shares = frame[frame["judge"].notna() & frame["among"].isin(["implicit", "explicit", "none"])]
    shares = shares[(shares["step"] == shares["step"].max()) & shares["value"].notna()]
    shares = shares[
        ~((shares["measure"] == "helpfulness") & (shares["among"] != "none"))
        & ~((shares["measure"] == "safety") & (shares["among"] == "none"))
    ]
    names = shares["judge"] + ": " + shares["measure"] + ", " + shares["among"]
    table = (100 * shares["value"]).groupby([shares["arm"], names]).mean().unstack()
    cells = [(str(arm), *(f"{value:.1f}" for value in row)) for arm, row in table.iterrows()]
    return list(markdown_table(("arm, %", *map(str, table.columns)), cells))


def _differences(rows: Sequence[Row]) -> list[str]:
    header = ("arm", "against", "judge", "measure", "n", "difference", "nested", "p", "permutation")
    cells = [
        (
            row["arm"],
            row["against"],
            row["judge"] or "–",
            row["measure"] + (f", {row['among']}" if row["among"] else ""),
            str(row["replicates"]),
            _interval(row["difference"], row["low"], row["high"]),
            _interval(None, row["nested_low"], row["nested_high"]),
            _p(row["p_holm"] if row["role"] == "secondary" else row["p"]),
            _p(row["p_permutation"]),
        )
        for row in rows
    ]
    return list(markdown_table(header, cells))


def _registration(registered: Registered | None) -> str:
    if registered is None:
        return "Nothing was registered before the first training: read this as exploration."
    if registered.matches:
        return f"What was run is what was registered ({registered.digest}, {registered.time})."
    return (
        f"What was run is NOT what was registered on {registered.time}: other "
        f"{', '.join(registered.changed)}. Read this as exploration."
    )


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    shown = [] if value is None else [f"{100 * value:+.1f}"]
    if low is not None and high is not None:
        shown.append(f"[{100 * low:+.1f}, {100 * high:+.1f}]")
    return " ".join(shown) or "–"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "<.001" if value < 0.001 else f"{value:.3f}"
