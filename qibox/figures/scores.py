"""How quality, instability and its two parts are distributed, in the pool and in a box."""

from typing import TYPE_CHECKING, Final

import numpy as np

from qibox.box import INSTABILITY_RANGE, QUALITY_RANGE
from qibox.figures.data import BINS
from qibox.figures.style import AFTER, BEFORE, counted, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NAMES: Final = {
    "quality": "quality Q (points)",
    "instability": "instability U (points)",
    "disagreement": "disagreement D (points)",
    "self_instability": "self-instability V (points)",
}


@styled
def scores_figure(
    counts: "pd.DataFrame", size: tuple[float, float] = (10, 2.6), rows: int = 1
) -> "Figure":
    """Histograms of Q, U, D and V, the pool in grey and the box before it, on a logarithmic scale.

    ``counts`` has the columns of :func:`qibox.figures.data.score_counts`.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    # Placed by hand: a layout that is found by drawing first takes twice as long, and a box moves.
    figure = Figure(figsize=size)
    width, height = size
    places = {
        "left": 0.75 / width,
        "right": 1 - 0.15 / width,
        "bottom": 0.5 / height,
        "top": 1 - 0.3 / height,
        "hspace": 0.5,
        "wspace": 0.12,
    }
    columns, most = len(NAMES) // rows, max(1, counts["pool"].max() if len(counts) else 1)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False, gridspec_kw=places)
    for axes, (measure, name) in zip(panels.flat, NAMES.items(), strict=True):
        low, high = QUALITY_RANGE if measure == "quality" else INSTABILITY_RANGE
        edges = np.linspace(low, high, BINS + 1)
        part = counts[counts["measure"] == measure]
        for column, colour, words in (("pool", BEFORE, "pool"), ("inside", AFTER, "in the box")):
            heights = np.zeros(BINS)
            heights[part["bin"].to_numpy(int)] = part[column]
            axes.stairs(heights, edges, fill=True, color=colour, baseline=0.5, label=words)
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(0.5, most * 1.5)
        axes.set_xlim(low, high)
        axes.set_xlabel(name)
    for first in panels[:, 0]:
        counted(first.yaxis)
        first.set_ylabel("samples in a bin (count)")
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper right", ncols=2, fontsize=8, borderaxespad=0.1)
    return figure
