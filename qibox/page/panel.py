"""The tab Models: who is unsafe where, who is the outlier, and how each answered."""

from typing import TYPE_CHECKING

from qibox.catalog.connect import reading
from qibox.figures import data
from qibox.figures.models import models_figure
from qibox.figures.style import image
from qibox.page import html
from qibox.page.context import Context

if TYPE_CHECKING:
    import pandas as pd


def models(context: Context) -> str:
    """The heat map, how each model answered, and which is farthest from the others.

    Nothing where none has answered. Made once a process: its tables are the largest of a run.
    """
    if "models" not in context.kept:
        judge = context.run.manifest.judges[0].name
        with reading(context.run, ("pool", "responses", "judgments")) as connection:
            conduct = data.conduct(connection, judge)
            unsafe = data.models(connection, judge)
        if not len(conduct):
            return ""
        figure = html.drawn(image(models_figure(unsafe, conduct), "png"), "models")
        context.kept["models"] = html.page(figure, conduct_table(conduct))
    return context.kept["models"]


def conduct_table(conduct: "pd.DataFrame") -> str:
    """The frame of :func:`qibox.figures.data.conduct` as a table, the outlier named above it."""
    known = conduct.dropna(subset=["distance"]).sort_values("distance", ascending=False)
    said = ""
    if len(known) > 1:
        first, second = known.iloc[0], known.iloc[1]
        said = (
            f"<p>Farthest from the panel: <b>{html.text(first['model'])}</b>. Its mean score of a "
            f"sample is {first['distance']:.2f} points from the mean of all models, that of the "
            f"next, {html.text(second['model'])}, {second['distance']:.2f}.</p>"
        )
    shares = ("unsafe", "reasoned", "cut_off", "failed")
    rows = [
        (
            row["model"],
            int(row["responses"]),
            _number(row["score"]),
            _number(row["distance"]),
            *(_number(row[name], 100, "%") for name in shares),
        )
        for _, row in conduct.iterrows()
    ]
    names = ("model", "responses", "mean score", "from the panel (points)")
    return said + html.table((*names, "unsafe", "reasoned", "cut off", "failed"), rows)


def _number(value: float | None, times: int = 1, unit: str = "") -> str:
    if value is None or value != value:  # nothing was judged
        return "–"
    return f"{value * times:.1f} {unit}".strip() if times > 1 else f"{value:.2f}"
