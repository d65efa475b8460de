"""What the page's tabs share: their names, the gallery's pages, a figure as an image."""

from collections.abc import Sequence
from typing import Final

from qibox.errors import QiboxError
from qibox.figures import kinds
from qibox.figures.style import image
from qibox.page import html
from qibox.page.context import Context

TABS: Final = ("Box", "Samples", "Models", "Training", "SQL")
PER_PAGE: Final = 12  # samples in the gallery at once


def start_of(page: float | None, matching: int) -> int:
    """Where a page of the gallery starts, from 0; the last page when there are fewer."""
    return (min(max(1, int(page or 1)), -(-matching // PER_PAGE) or 1) - 1) * PER_PAGE


def picture(context: Context, kind: str, policies: Sequence[str] = ()) -> str:
    """A figure of the run as an image, drawn once a process; or why there is none."""
    key = f"{kind}/{'/'.join(policies)}"
    if key not in context.kept:
        try:
            figure = kinds.figure(context.run, kind, kinds.Shown(policies=policies))
        except QiboxError as error:
            return html.page(f"<p class='warn'>{html.text(error)}</p>")
        context.kept[key] = html.drawn(image(figure, "png"), kind)
    return html.page(context.kept[key])
