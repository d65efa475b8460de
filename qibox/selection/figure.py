"""A choice as a figure: the box on the pool's density, and the mix before and after."""

from typing import TYPE_CHECKING, Final

from qibox.catalog.connect import connect
from qibox.run.directory import Run
from qibox.selection.choose import Choice

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE: Final = "box.png"  # beside the card, which shows it


def choice_figure(run: Run, choice: Choice) -> "Figure":
    """Draw a choice, written or not."""
    import pandas as pd

    from qibox.figures.box import box_figure
    from qibox.figures.data import density

    columns = ("dimension", "value", "before", "after")
    rows = [{name: getattr(row, name) for name in columns} for row in choice.mix]
    boxes = [(stratum.stratum, stratum.box) for stratum in choice.boxes]
    with connect(run, ("scores",)) as connection:
        lies = density(connection)
    title = f"Selection {choice.request.name}"
    return box_figure(lies, boxes, pd.DataFrame(rows, columns=list(columns)), title)
