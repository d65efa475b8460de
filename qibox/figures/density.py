"""Where samples lie: their density over quality and instability, or what those of a bin are."""

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from qibox.box import INSTABILITY_RANGE, QUALITY_RANGE
from qibox.figures.data import BINS
from qibox.figures.style import COLOURS, MARKERS, QUANTITY, counted, label, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

OTHERS: Final = "all others"


@styled
def density_figure(density: "pd.DataFrame", size: tuple[float, float] = (6.4, 4.6)) -> "Figure":
    """The density alone, its axes at the edges of what scores can be; for a box drawn over it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    draw_density(figure.add_subplot(), density)
    return figure


@styled
def coloured_figure(
    bins: "pd.DataFrame", name: str, size: tuple[float, float] = (6.4, 4.6)
) -> "Figure":
    """What the samples of each bin are: a mean as its colour, or the commonest value as its mark.

    ``bins`` has the columns of :func:`qibox.figures.data.coloured`; ``name`` says what the value is
    and in which unit. Of texts the seventh and later values by samples share the last mark.
    """
    import pandas as pd
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    if pd.api.types.is_numeric_dtype(bins["value"]):
        _draw_means(axes, bins, name)
    else:
        _draw_commonest(axes, bins, name)
    whole(axes)
    return figure


def _draw_means(axes: "Axes", bins: "pd.DataFrame", name: str) -> None:
    values = np.full((BINS, BINS), np.nan)  # (U, Q)
    values[bins["u"].to_numpy(int), bins["q"].to_numpy(int)] = bins["value"]
    mesh = axes.pcolormesh(*_edges(), values, cmap=QUANTITY, rasterized=True)
    assert axes.figure is not None
    axes.figure.colorbar(mesh, ax=axes, pad=0.02).set_label(label(name))


def _draw_commonest(axes: "Axes", bins: "pd.DataFrame", name: str) -> None:
    """A mark a bin, the larger the more samples; marks differ in form, so that grey tells them."""
    by_size = bins.groupby("value")["samples"].sum().sort_values(ascending=False, kind="stable")
    known = list(by_size.index[: len(COLOURS) - (len(by_size) > len(COLOURS))])
    parts = [(value, bins[bins["value"] == value]) for value in known]
    rest = bins[~bins["value"].isin(known)]
    if len(rest):
        parts.append((f"{OTHERS} ({rest['value'].nunique()})", rest))
    q_edges, u_edges = _edges()
    for place, (value, part) in enumerate(parts):
        axes.scatter(
            ((q_edges[:-1] + q_edges[1:]) / 2)[part["q"].to_numpy(int)],
            ((u_edges[:-1] + u_edges[1:]) / 2)[part["u"].to_numpy(int)],
            s=9 + 13 * np.log10(part["samples"].to_numpy(float)),
            color=COLOURS[place],
            marker=MARKERS[place],
            linewidths=0,
            label=label(value),
        )
    assert axes.figure is not None
    axes.figure.legend(
        title=f"{label(name)} of most samples in a bin",
        loc="outside upper center",
        ncols=4,
        fontsize=8,
        title_fontsize=8,
    )


def _edges() -> tuple[Floats, Floats]:
    """Edges of the bins of Q and of U, (BINS + 1,) each."""
    return np.linspace(*QUALITY_RANGE, BINS + 1), np.linspace(*INSTABILITY_RANGE, BINS + 1)


def draw_density(axes: "Axes", density: "pd.DataFrame") -> None:
    """Colour each bin by its number of samples, on a logarithmic scale; empty bins stay white."""
    from matplotlib.colors import LogNorm

    counts = np.full((BINS, BINS), np.nan)  # (U, Q)
    counts[density["u"].to_numpy(int), density["q"].to_numpy(int)] = density["samples"]
    most = max(2.0, np.nanmax(counts)) if len(density) else 2.0
    mesh = axes.pcolormesh(
        *_edges(),
        counts,
        cmap=QUANTITY,
        norm=LogNorm(1, most),
        rasterized=True,
    )
    whole(axes)
    assert axes.figure is not None
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02)
    counted(bar.ax.yaxis)
    bar.set_label("samples in a bin (count)")


def whole(axes: "Axes") -> None:
    """Show all that scores can be, each axis with its name and unit."""
    axes.set_xlim(*QUALITY_RANGE)
    axes.set_ylim(*INSTABILITY_RANGE)
    axes.set_xlabel("quality Q (points, 1 to 10)")
    axes.set_ylabel("instability U (points, 0 to 4.5)")
