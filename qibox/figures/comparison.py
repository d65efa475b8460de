"""A comparison: learning curves of its arms, and differences as a forest plot."""

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
    """Left the primary measure by step, mean and range over replicates; right its differences.

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
    _curves(curves, plan, shown)
    curves.set_title(f"{plan.measure}, {plan.among} risk, by {label(judge)}")
    _forest(forest, primary)
    return figure


def _curves(axes: "Axes", plan: ComparisonManifest, rows: "pd.DataFrame") -> None:
    """A line an arm over steps; single replicates as faint points beside it."""
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
