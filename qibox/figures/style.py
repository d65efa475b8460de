"""How every figure looks, and how it becomes bytes.

Colours are Okabe and Ito's (Color Universal Design, 2008), which the colour-blind tell apart;
whatever has a colour has a marker, a line style or a hatching too, so that it can be told in grey.
Quantities are shown in cividis, which grows evenly brighter (Nuñez et al., PLoS ONE 2018).
"""

import io
import threading
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, ParamSpec

from qibox.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

    from qibox.run.storage import Storage

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
LINES: Final = ("-", "--", "-.", ":")
QUANTITY: Final = "cividis_r"  # dark is much
BEFORE: Final = "#B3B3B3"  # of what was there before
AFTER: Final = COLOURS[0]  # of what became of it
EDGE: Final = COLOURS[1]  # of a box
FORMATS: Final = ("png", "svg")
LABEL: Final = 40  # characters; longer names of tables are cut
DPI: Final = 120

_RC: Final[Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "qibox",  # ids in an SVG are hashes: otherwise of a random salt
    "svg.fonttype": "path",
    "text.parse_math": False,  # names come from tables, and a $ in one is a $
    "text.usetex": False,
}
_LOCK = threading.RLock()  # matplotlib's settings are the process's

P = ParamSpec("P")


def styled(draw: "Callable[P, Figure]") -> "Callable[P, Figure]":
    """Draw in the project's style, whatever a person's own settings of matplotlib say."""

    @wraps(draw)
    def drawn(*arguments: P.args, **named: P.kwargs) -> "Figure":
        import matplotlib

        with _LOCK, matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_RC)
            return draw(*arguments, **named)

    return drawn


def image(figure: "Figure", form: str) -> bytes:
    """The figure as PNG or SVG; the same figure gives the same bytes: no date, no random ids."""
    import matplotlib

    buffer = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    with _LOCK, matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script it has not
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        figure.savefig(buffer, format=form, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def form_of(file: str) -> str:
    """PNG or SVG, by the file's suffix.

    Raises:
        UsageError: it is neither.
    """
    form = PurePath(file).suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise UsageError(f"{file} is no picture's name: end it in .png or .svg")
    return form


def keep(storage: "Storage", name: str, figure: "Figure") -> None:
    """Write a figure as PNG into a run."""
    with storage.writing(name) as file:
        file.write(image(figure, "png"))


def counted(axis: "Axis") -> None:
    """Label a logarithmic axis of counts with whole numbers, at powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(10))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_minor_formatter(NullFormatter())


def label(name: object) -> str:
    """A table's name fit for a figure: one line, printable, of bounded length."""
    text = "".join(c if c.isprintable() else " " for c in str(name))
    return text if len(text) <= LABEL else text[: LABEL - 1] + "…"


def nothing(figure: "Figure", why: str) -> "Figure":
    """Say on an otherwise empty figure why it shows nothing."""
    figure.text(0.5, 0.5, why, ha="center", va="center", color="#555555")
    return figure
