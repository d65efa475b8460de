"""The panel: who is unsafe where, and how each model answered."""

from typing import TYPE_CHECKING, Any, Final

from qibox.figures.style import COLOURS, EDGE, QUANTITY, label, nothing, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CONDUCT: Final = (  # column, title, unit, and by what it is multiplied
    ("distance", "Away from the panel", "mean distance of scores (points)", 1),
    ("reasoned", "Reasoned", "% of responses", 100),
    ("cut_off", "Cut off", "% of responses", 100),
    ("failed", "Failed", "% of responses", 100),
)


@styled
def models_figure(models: "pd.DataFrame", conduct: "pd.DataFrame") -> "Figure":
    """Unsafe answers by model and category, above how far off, how reasoned, cut off and failed.

    The model that is farthest from the panel is hatched.
    The frames are those of :func:`qibox.figures.data.models` and ``conduct``.
    """
    from matplotlib.figure import Figure

    names = list(conduct["model"])
    figure = Figure(figsize=(10, 3.2 + 0.5 * len(names)), layout="constrained")
    if not names or models["judged"].sum() == 0:
        return nothing(figure, "no response has been judged yet")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.25, 1))
    upper, lower = parts
    axes = upper.subplots()
    table = models.pivot(index="model", columns="category", values="unsafe").reindex(names) * 100
    mesh = axes.imshow(table, cmap=QUANTITY, vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(
        range(table.shape[1]), [label(c) for c in table], rotation=35, ha="right", fontsize=8
    )
    axes.set_yticks(range(len(names)), [label(n) for n in names])
    axes.set_title("Unsafe answers by model and category")
    axes.set_xlabel("category")
    axes.set_ylabel("panel model")
    if table.size <= 200:
        for (y, x), value in _cells(table):
            ink = "white" if value > 50 else "black"
            axes.text(x, y, f"{value:.0f}", ha="center", va="center", color=ink, fontsize=7.5)
    upper.colorbar(mesh, ax=axes, label="unsafe (% of judged)", pad=0.01)
    for place, (panel, (column, title, unit, times)) in enumerate(
        zip(lower.subplots(1, len(CONDUCT), sharey=True), CONDUCT, strict=True)
    ):
        bars = panel.barh(range(len(names)), conduct[column] * times, color=COLOURS[0])
        panel.bar_label(bars, fmt="%.0f" if times == 100 else "%.2f", padding=2, fontsize=7.5)
        if column == "distance" and conduct[column].notna().any():
            bars[int(conduct[column].to_numpy(float).argmax())].set(hatch="///", facecolor=EDGE)
        panel.set_title(title)
        panel.set_xlabel(unit)
        panel.grid(axis="x")
        panel.set_axisbelow(True)
        if times == 100:
            panel.set_xlim(0, 112)
            panel.set_xticks(range(0, 101, 25))
        else:
            panel.margins(x=0.18)
        if place == 0:
            panel.set_yticks(range(len(names)), [label(n) for n in names])
            panel.set_ylim(len(names) - 0.4, -0.6)
    return figure


def _cells(table: "pd.DataFrame") -> list[tuple[tuple[int, int], float]]:
    """Row, column and value of each cell that has one."""
    values = table.to_numpy()
    places = [(y, x) for y in range(values.shape[0]) for x in range(values.shape[1])]
    return [(at, float(values[at])) for at in places if values[at] == values[at]]
