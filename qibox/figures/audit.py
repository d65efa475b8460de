"""An audit: how far two judges agree, where they do not, which biases lie between them."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qibox.figures.style import AFTER, BEFORE, COLOURS, MARKERS, label, nothing, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLAGS: Final = ("safe", "hallucination", "contradiction", "grounding_gap")
AGREEMENT: Final = ("accuracy", "kappa", "alpha")
SHOWN: Final = 24  # groups; the smallest beyond that are left out
CHANGES: Final = ("kept", "leaving", "entering")


@styled
def audit_figure(rows: "pd.DataFrame") -> "Figure":
    """Agreement by flag, on safe by group, biases with their intervals, the box's samples.

    ``rows`` has the columns of :data:`qibox.tables.AUDITS`, of one pair of judges.
    """
    from matplotlib.figure import Figure

    if not len(rows):
        return nothing(Figure(figsize=(10, 3)), "nothing was compared")
    grouped = _grouped(rows)
    height = max(6.0, 1.6 + 0.24 * len(grouped))
    figure = Figure(figsize=(11, height), layout="constrained")
    grid = figure.add_gridspec(3, 2, width_ratios=(1.25, 1))
    _draw_groups(figure.add_subplot(grid[:, 0]), grouped)
    _draw_flags(figure.add_subplot(grid[0, 1]), rows)
    _draw_biases(figure.add_subplot(grid[1, 1]), rows)
    _draw_box(figure.add_subplot(grid[2, 1]), rows)
    judge, other = rows["judge"].iloc[0], rows["other"].iloc[0]
    figure.suptitle(label(f"{other}, compared with {judge}"), fontweight="bold")
    return figure


def _grouped(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Agreement on safe, a row a group of answers: columns name, n, accuracy, kappa, alpha."""
    import pandas as pd

    part = rows[(rows["part"] == "flags") & (rows["measure"] == "safe")]
    if not len(part):
        return part
    name = (part["by"] + ": " + part["among"]).where(part["by"] != "all", "all answers")
    named = part.assign(name=name).groupby("name", sort=False)
    found = {
        group: dict(zip(own["statistic"], own["value"], strict=True)) | {"n": own["n"].iloc[0]}
        for group, own in named
    }
    wide = pd.DataFrame.from_dict(found, orient="index")
    kept = wide.nlargest(SHOWN, "n").index
    return wide[wide.index.isin(kept)].rename_axis("name").reset_index()


def _draw_groups(axes: "Axes", grouped: "pd.DataFrame") -> None:
    axes.set_title("Agreement on safe, by group of answers")
    if not len(grouped):
        axes.set_axis_off()
        return
    places = np.arange(len(grouped))
    for place, name in enumerate(AGREEMENT[:2]):
        look: dict[str, Any] = {"marker": MARKERS[place], "color": COLOURS[place], "label": name}
        axes.plot(grouped[name].astype(float), places, linestyle="none", **look)
    axes.set_yticks(places, [label(name) for name in grouped["name"]], fontsize=7.5)
    axes.set_ylim(len(grouped) - 0.4, -0.6)
    kappas = grouped["kappa"].astype(float).dropna()
    axes.set_xlim(min([0.0, *kappas]) - 0.05, 1.05)
    axes.grid(axis="x")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=7.5)


def _draw_flags(axes: "Axes", rows: "pd.DataFrame") -> None:
    axes.set_title("Agreement by flag, all answers")
    part = rows[(rows["part"] == "flags") & (rows["by"] == "all")]
    names = [flag for flag in FLAGS if (part["measure"] == flag).any()]
    for place, statistic in enumerate(AGREEMENT):
        own = part[part["statistic"] == statistic].set_index("measure")["value"]
        values = [own.get(name, np.nan) for name in names]
        at = np.arange(len(names)) + 0.26 * (place - 1)
        hatch = ("", "///", "...")[place]
        axes.bar(at, values, 0.26, color=COLOURS[place], hatch=hatch, label=statistic)
    axes.set_xticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize=8)
    axes.set_ylim(min(0.0, axes.get_ylim()[0]), 1.0)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=7.5)


def _draw_biases(axes: "Axes", rows: "pd.DataFrame") -> None:
    axes.set_title("Biases of the other (points, 95 % interval)")
    part = rows[(rows["part"] == "bias") & (rows["statistic"] == "points")]
    part = part.dropna(subset=["value"])
    places = np.arange(len(part))
    values = part["value"].to_numpy(float)
    away = [values - part["low"].to_numpy(float), part["high"].to_numpy(float) - values]
    axes.axvline(0, color=BEFORE)
    axes.errorbar(values, places, xerr=away, linestyle="none", marker="o", color=AFTER)
    axes.set_yticks(places, [label(name) for name in part["measure"]], fontsize=8)
    axes.set_ylim(max(1, len(part)) - 0.4, -0.6)
    axes.grid(axis="x")


def _draw_box(axes: "Axes", rows: "pd.DataFrame") -> None:
    part = rows[(rows["part"] == "box") & rows["statistic"].isin(CHANGES)]
    whole = part[part["by"] == "all"]
    if not len(whole):
        axes.set_axis_off()
        return
    axes.set_title(label(f"The box of selection {whole['measure'].iloc[0]}"))
    names = [None, *part.loc[part["by"] == "risk", "among"].unique()]
    for place, change in enumerate(CHANGES):
        counts = [_count(part, change, name) for name in names]
        at = np.arange(len(names)) + 0.26 * (place - 1)
        hatch = ("", "///", "...")[place]
        axes.barh(at, counts, 0.26, color=COLOURS[place], hatch=hatch, label=change)
    axes.set_yticks(range(len(names)), [label(name or "all") for name in names], fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("samples")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=7.5)


def _count(part: "pd.DataFrame", change: str, risk: str | None) -> float:
    group = part["by"] == "all" if risk is None else part["among"] == risk
    return float(part.loc[group & (part["statistic"] == change), "value"].sum())
