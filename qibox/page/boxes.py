"""The tab Box: the density to drag a box on, and what changes when the box moves."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from qibox.box import INSTABILITY_RANGE, QUALITY_RANGE, Box
from qibox.figures.density import coloured_figure, density_figure
from qibox.figures.scores import scores_figure
from qibox.figures.style import image
from qibox.page import html
from qibox.page.cells import GALLERY, Place
from qibox.page.context import Context

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BY_NUMBER: Final = "number of samples"
SIZE: Final = (6.6, 4.6)  # inches, of the density
DIGITS: Final = 4  # decimals of an edge that was dragged
TYPED_DIGITS: Final = 6  # and of one that was typed: scores are written with so many


class Visit:
    """One person's visit: where the box is, beside marimo's states that make cells run again."""

    def __init__(
        self,
        first: Box,
        set_box: Callable[[Box], None],
        set_drawn: Callable[[Any], None],
        set_shown: Callable[[Place], None],
    ) -> None:
        self.box = first  # reading it makes no cell depend on it
        self.emptied = 0  # how often a field was, and is to be shown anew
        self._set_box = set_box
        self._set_drawn = set_drawn
        self._set_shown = set_shown

    def move(self, box: Box, redraw: bool) -> None:
        """Put the box somewhere else, and draw it there unless a hand has already."""
        if box != self.box:
            self.box = box
            self._set_shown(GALLERY)
            self._set_box(box)
        if redraw:
            self._set_drawn(lambda count: count + 1)

    def close(self, _: object = None) -> None:
        """Show the gallery from its start."""
        self._set_shown(GALLERY)

    def dragged(self, left: float, right: float, bottom: float, top: float) -> None:
        """Put the box where a hand has left it; a hand that only touched it moves nothing."""
        box, here = boxed(left, right, bottom), self.box
        if box != boxed(here.q_low, here.q_high, here.u_min):
            # A box has no upper edge on U: one that was pulled down is drawn anew.
            self.move(box, top < INSTABILITY_RANGE[1] - 0.1)

    def typed(self, edge: str, value: float | None) -> None:
        """Put one edge where it was typed; an emptied field gets its edge back."""
        if value is None:
            self.emptied += 1
            self._set_box(self.box)
            return
        edges = {name: getattr(self.box, name) for name in ("q_low", "q_high", "u_min")}
        self.move(boxed(**{**edges, edge: value}, digits=TYPED_DIGITS), True)


def axes(context: Context, colour: str) -> "Axes":
    """The density of the run's scores, or what its samples are by one of the colourings."""
    if colour == BY_NUMBER:
        return density_figure(context.samples.density(), SIZE).axes[0]
    return coloured_figure(context.samples.coloured(colour), colour, SIZE).axes[0]


def boxed(q_low: float, q_high: float, u_min: float, digits: int = DIGITS) -> Box:
    """The box nearest to some edges that scores can lie in, rounded."""
    q_low, q_high = sorted((q_low, q_high))
    floor, ceiling = QUALITY_RANGE
    return Box(
        round(min(max(q_low, floor), ceiling), digits),
        round(min(max(q_high, floor), ceiling), digits),
        round(min(max(u_min, 0.0), INSTABILITY_RANGE[1]), digits),
    )


def live(context: Context, box: Box) -> str:
    """Counts, the command and the mix."""
    inside, scored = context.samples.count(box)
    share = f"{inside / scored:.1%}" if scored else "–"
    words = " ".join(f"<span class='w'>{html.text(w)}</span>" for w in context.command(box).split())
    return html.page(
        f"<p><span class='big' id='inside'>{inside:,}</span> of {scored:,} scored samples "
        f"({share}) in {box.q_low:g} ≤ Q ≤ {box.q_high:g}, U ≥ {box.u_min:g}</p>",
        f"<code class='cmd' id='command'>{words}</code>",
        html.mix_table(context.samples.mix(box)),
        kind="right",
    )


def histograms(context: Context, box: Box) -> str:
    """Q, U, D and V of the pool, and of the box before it."""
    figure = scores_figure(context.samples.histograms(box), (7, 4.2), rows=2)
    return html.page(html.drawn(image(figure, "png"), "scores"), kind="left")
