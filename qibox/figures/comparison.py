"""A comparison: its arms by step, or by replicate where there is one, and a forest plot."""

from typing import TYPE_CHECKING

from qibox.figures.style import COLOURS, LINES, MARKERS, label, nothing, styled
from qibox.manifests.comparison import ComparisonManifest

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def comparison_figure(
    plan: ComparisonManifest, replicates: "pd.DataFrame", comparisons: "pd.DataFrame"
) -> "Figure":
    """Left the primary measure of each arm, right its differences.

    The measure is drawn by step, as mean and range over replicates; where only one step was
    evaluated, each replicate is a line across the arms.

    ``replicates`` and ``comparisons`` are as :data:`qibox.tables.REPLICATES` and
    :data:`qibox.tables.COMPARISONS` have them.
    """
    from matplotlib.figure import Figure

    primary = comparisons[comparisons["role"] == "primary"]
    figure = Figure(figsize=(10, 1.6 + 0.45 * max(4, len(primary))), layout="constrained")
    if not len(primary):
        return nothing(figure, "no two arms of a replicate are evaluated yet")
    curves, forest = figure.subplots(1, 2)
    judge = primary["judge"].iloc[0]
    shown = replicates[
        (replicates["measure"] == plan.measure)
        & (replicates["among"] == plan.among)
        & (replicates["judge"] == judge)
    ]
    draw = _curves if shown["step"].nunique() > 1 else _points
    draw(curves, plan, shown)
    curves.set_title(f"{plan.measure}, {plan.among} risk, by {label(judge)}")
    _forest(forest, primary)
    return figure


def _curves(axes: "Axes", plan: ComparisonManifest, rows: "pd.DataFrame") -> None:
    """A line an arm over steps, in a band from the least to the most of its replicates."""
    from matplotlib.ticker import MaxNLocator

    for place, arm in enumerate(arm.name for arm in plan.arms):
        by_step = rows[rows["arm"] == arm].dropna(subset=["value"]).groupby("step")["value"]
        if not len(by_step):
            continue
        colour = COLOURS[place % len(COLOURS)]
        mean = 100 * by_step.mean()
        style = MARKERS[place % len(MARKERS)] + LINES[place % len(LINES)]
        axes.plot(mean.index, mean, style, color=colour, label=label(arm), markersize=4)
        axes.fill_between(
            mean.index, 100 * by_step.min(), 100 * by_step.max(), color=colour, alpha=0.12
        )
    axes.set_xlabel("step (band: least and most of the replicates)")
    axes.set_ylabel("% of first answers")
    axes.grid(axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.legend(fontsize=7.5)


def _points(axes: "Axes", plan: ComparisonManifest, rows: "pd.DataFrame") -> None:
    """A faint line a replicate, across the arms that share its draws; each arm's mean over it."""
    arms = [arm.name for arm in plan.arms]
    wide = 100 * rows.pivot_table(index=["world", "seed"], columns="arm", values="value")
    wide = wide.reindex(columns=arms)
    places = range(len(arms))
    axes.plot(places, wide.T, "-o", color="#888888", alpha=0.45, linewidth=0.8, markersize=2.5)
    for place, arm in enumerate(arms):
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        axes.plot([place], [wide[arm].mean()], marker, color=colour, markersize=9)
    axes.set_xticks(places, [label(arm) for arm in arms])
    axes.set_xlim(-0.4, len(arms) - 0.6)
    axes.set_xlabel(f"arm (grey: each of {len(wide)} replicates)")
    axes.set_ylabel("% of first answers")
    axes.grid(axis="y")


def _forest(axes: "Axes", primary: "pd.DataFrame") -> None:
    """A difference a row, with its t interval; a thin line is the nested bootstrap's."""
    for place, row in enumerate(primary.to_dict("records")):
        value, low, high = (100 * row[name] for name in ("difference", "low", "high"))
        axes.plot([low, high], [-place, -place], color=COLOURS[0], linewidth=2.2)
        axes.plot(
            [100 * row["nested_low"], 100 * row["nested_high"]],
            [-place - 0.18, -place - 0.18],
            color="#888888",
            linewidth=0.9,
        )
        axes.plot([value], [-place], "o", color=COLOURS[0])
    axes.axvline(0, color="#888888", linewidth=0.8)
    names = [
        f"{label(row.arm)} − {label(row.against)}, n = {row.replicates}"
        for row in primary.itertuples()
    ]
    axes.set_yticks([-place for place in range(len(names))], names)
    axes.set_ylim(-len(names) + 0.4, 0.6)
    axes.set_xlabel("points, 95 % interval (grey: over samples too)")
    axes.set_title("Differences")
    axes.grid(axis="x")
