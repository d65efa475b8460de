"""What the page's tabs share: their names, the gallery's pages, a figure as an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from qibox.errors import QiboxError
from qibox.figures import kinds
from qibox.figures.style import image
from qibox.page import html
from qibox.page.context import Context

TABS: Final = ("Box", "Samples", "Models", "Training", "SQL")
PER_PAGE: Final = 12  # samples in the gallery at once


@dataclass(frozen=True)
class Place:
    """What of the samples that match is shown: a page of the gallery, or one sample large."""

    is_one: bool
    number: int  # of the page or the sample, from 0

    def rows(self, matching: int) -> tuple[int, int]:
        """How many samples there is room for, and the first one's number; the last page at most."""
        size = 1 if self.is_one else PER_PAGE
        last = max(0, -(-matching // size) - 1)
        return size, min(self.number, last) * size

    def steps(self, matching: int) -> list[tuple[str, str, "Place"]]:
        """Where one goes from here: what the button says, its key, and the place."""
        size, offset = self.rows(matching)
        number, last = offset // size, max(0, -(-matching // size) - 1)
        what = "sample" if self.is_one else "page"
        found = [
            (f"← {what}", "ArrowLeft", Place(self.is_one, max(0, number - 1))),
            (f"{what} →", "ArrowRight", Place(self.is_one, min(last, number + 1))),
        ]
        return (
            [*found, ("all", "Escape", Place(False, number // PER_PAGE))] if self.is_one else found
        )


GALLERY: Final = Place(False, 0)


def one(number: int) -> Place:
    """One sample, large."""
    return Place(True, number)


def where(offset: int, shown: int, matching: int) -> str:
    """Which samples are shown, in words."""
    if not shown:
        return "no sample of the box matches" if not matching else ""
    last = f" to {offset + shown:,}" if shown > 1 else ""
    return f"{offset + 1:,}{last} of {matching:,} samples in the box"


def picture(context: Context, kind: str, policies: Sequence[str] = ()) -> str:
    """A figure of the run as an image; or why there is none."""
    try:
        figure = kinds.figure(context.run, kind, kinds.Shown(policies=policies))
    except QiboxError as error:
        return html.page(f"<p class='warn'>{html.text(error)}</p>")
    return html.page(html.drawn(image(figure, "png"), kind))
