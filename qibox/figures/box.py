"""The box on the density of quality by instability, and the mix before and after it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from qibox.box import INSTABILITY_RANGE, QUALITY_RANGE
from qibox.figures.data import LabelledBox
from qibox.figures.density import OTHERS, draw_density
from qibox.figures.style import AFTER, BEFORE, EDGE, LINES, label, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN: Final = 12  # values of a dimension; the smallest of the pool are counted together


@styled
def box_figure(
    density: "pd.DataFrame", boxes: Sequence[LabelledBox], mix: "pd.DataFrame", title: str = ""
) -> "Figure":
    """The density with its boxes on the left, shares of strata before and after on the right.

    ``density`` has the columns of :func:`qibox.figures.data.density`, ``mix`` dimension, value,
    before and after.
    """
    from matplotlib.figure import Figure

    dimensions = list(dict.fromkeys(mix["dimension"]))
    shown = {name: _largest(mix[mix["dimension"] == name]) for name in dimensions}
    rows = [max(2, len(part)) + 1 for part in shown.values()] or [1]
    figure = Figure(figsize=(10, max(4.2, 0.26 * sum(rows))), layout="constrained")
    grid = figure.add_gridspec(max(1, len(rows)), 2, width_ratios=(1.25, 1), height_ratios=rows)
    axes = figure.add_subplot(grid[:, 0])
    draw_density(axes, density)
    draw_boxes(axes, boxes)
    axes.set_title(label(title) if title else "Where samples lie")
    for place, (name, part) in enumerate(shown.items()):
        _draw_mix(figure.add_subplot(grid[place, 1]), name, part, first=place == 0)
    if dimensions:
        figure.axes[-1].set_xlabel("share of samples (%)")
    return figure


def draw_boxes(axes: "Axes", boxes: Sequence[LabelledBox]) -> None:
    """Outline each box; of several, each has its name and its line."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=4, foreground="white")]  # to be seen over dark bins in grey too
    for place, (name, box) in enumerate(boxes):
        left, right = max(box.q_low, QUALITY_RANGE[0]), min(box.q_high, QUALITY_RANGE[1])
        bottom = max(box.u_min, INSTABILITY_RANGE[0])
        axes.add_patch(
            Rectangle(
                (left, bottom),
                right - left,
                INSTABILITY_RANGE[1] - bottom,
                fill=False,
                edgecolor=EDGE,
                linewidth=2,
                linestyle=LINES[place % len(LINES)],
                label=label(name),
                clip_on=False,
                path_effects=halo,
            )
        )
    if len(boxes) == 1:
        (_, box) = boxes[0]
        words = f"{box.q_low:.4g} ≤ Q ≤ {box.q_high:.4g}, U ≥ {box.u_min:.4g}"
        axes.set_title(words, loc="right", fontweight="normal", fontsize=9)
    elif boxes:
        axes.legend(loc="upper right", fontsize=7)


def _largest(part: "pd.DataFrame") -> "pd.DataFrame":
    """The largest values of a dimension, the rest of them as one."""
    import pandas as pd

    if len(part) <= SHOWN:
        return part
    rest = part.iloc[SHOWN - 1 :]
    row = {"dimension": [rest["dimension"].iloc[0]], "value": [f"{OTHERS} ({len(rest)})"]}
    sums = {name: [int(rest[name].sum())] for name in ("before", "after")}
    return pd.concat([part.iloc[: SHOWN - 1], pd.DataFrame(row | sums)], ignore_index=True)


def _draw_mix(axes: "Axes", name: str, part: "pd.DataFrame", first: bool) -> None:
    """Two bars a value: its share of the pool, and of what was chosen."""
    places = np.arange(len(part))
    shares = {column: part[column] / max(1, part[column].sum()) for column in ("before", "after")}
    axes.barh(places - 0.2, 100 * shares["before"], 0.4, color=BEFORE, label="pool")
    if part["after"].sum():
        axes.barh(
            places + 0.2, 100 * shares["after"], 0.4, color=AFTER, hatch="///", label="selection"
        )
    axes.set_yticks(places, [label(value) for value in part["value"]], fontsize=7.5)
    axes.set_ylim(len(part) - 0.4, -0.6)
    axes.set_ylabel(name)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    if first:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=7.5)
