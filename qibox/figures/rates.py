"""Evaluations: each measure's value with its interval, before training and after."""

from typing import TYPE_CHECKING, Any, Final

from qibox.figures.style import BEFORE, COLOURS, MARKERS, label, nothing, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHARES: Final = ("safety", "helpfulness", "over-refusal")  # in [0, 1]
SCORES: Final = ("score", "reasoning score", "answer score")
RISKS: Final = ("implicit", "explicit", "none")


@styled
def rates_figure(rates: "pd.DataFrame") -> "Figure":
    """A row a benchmark: shares in percent on the left, scores in points on the right.

    ``rates`` has the columns of :data:`qibox.tables.RATES`. A start is a grey ring, each policy
    trained from it a filled mark of its own; lines are 95 % intervals over samples.
    """
    from matplotlib.figure import Figure

    benches = list(rates[["pool", "judge"]].drop_duplicates().itertuples(index=False))
    if not benches:
        return nothing(Figure(figsize=(10, 3)), "no policy has been evaluated yet")
    parts = [rates[(rates["pool"] == b.pool) & (rates["judge"] == b.judge)] for b in benches]
    heights = [max(3, len(_lines(part, SHARES))) for part in parts]
    size = (10, 0.6 + sum(0.3 * n + 0.9 for n in heights))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(
        len(parts), 2, squeeze=False, width_ratios=(1.6, 1), height_ratios=heights
    )
    for row, bench, part in zip(grid, benches, parts, strict=True):
        _draw(row[0], part, SHARES, 100.0)
        row[0].set_title(label(f"{bench.pool}, judge {bench.judge}"))
        row[0].set_xlim(-2, 102)
        row[0].set_xlabel("share of responses (%), 95 % interval over samples")
        _draw(row[1], part, SCORES, 1.0)
        row[1].set_xlim(1, 10)
        row[1].set_xlabel("mean score (points, 1 to 10)")
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=4, fontsize=8)
    return figure


def _lines(part: "pd.DataFrame", measures: tuple[str, ...]) -> list[tuple[str, str | None]]:
    """The lines of a panel: measures over all samples and over each kind."""
    have = {
        (measure, None if by == "all" else among)
        for measure, by, among in part[["measure", "by", "among"]].itertuples(index=False)
        if by != "category"
    }
    wanted: list[tuple[str, str | None]] = [(m, r) for m in measures for r in (*RISKS, None)]
    return [line for line in wanted if line in have]


def _draw(axes: "Axes", part: "pd.DataFrame", measures: tuple[str, ...], times: float) -> None:
    lines = _lines(part, measures)
    entrants = list(part[["policy", "stage"]].drop_duplicates().itertuples(index=False))
    entrants.sort(key=lambda e: (e.stage != "start", e.policy))
    step = min(0.22, 0.7 / max(1, len(entrants)))
    trained = 0
    for place, (policy, stage) in enumerate(entrants):
        own = part[(part["policy"] == policy) & (part["stage"] == stage)]
        start = stage == "start"
        mark: dict[str, Any] = (
            {"marker": "o", "color": "#555555", "markerfacecolor": "white", "ecolor": BEFORE}
            if start
            else {
                "marker": MARKERS[1 + trained % (len(MARKERS) - 1)],
                "color": COLOURS[trained % len(COLOURS)],
            }
        )
        trained += not start
        at, found = [], []
        for line, (measure, among) in enumerate(lines):
            group = own["by"] == "all" if among is None else own["among"] == among
            row = own[(own["measure"] == measure) & group & (own["by"] != "category")]
            row = row.dropna(subset=["value"])
            if len(row):
                at.append(line + step * (place - (len(entrants) - 1) / 2))
                found.append([float(row[n].iloc[0]) * times for n in ("value", "low", "high")])
        if found:
            values, low, high = zip(*found, strict=True)
            away = [
                [v - lo for v, lo in zip(values, low, strict=True)],
                [hi - v for v, hi in zip(values, high, strict=True)],
            ]
            axes.errorbar(values, at, xerr=away, linestyle="none", label=label(policy), **mark)
    axes.set_yticks(range(len(lines)), [f"{m}, {r or 'all'}" for m, r in lines], fontsize=8)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
