"""The page of a run, served and driven as a person does: its address, its plot, its box."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.browser import DEEP, Browser

INSIDE = "+(document.querySelector('#inside')?.innerText.replaceAll(',', '') ?? -1)"
COMMAND = "document.querySelector('#command')?.innerText"
U_MIN = f"+{COMMAND}?.split(' ').at(-3)"  # … --u-min U --name explored
SCORES = ((1.0, 10.0), (0.0, 4.5))  # ranges of Q and of U


@dataclass(frozen=True)
class Served:
    """A page while its server runs."""

    address: str
    process: "subprocess.Popen[str]"


@contextmanager
def serving(run: str) -> Iterator[Served]:
    """A run's page, while the block runs."""
    command = [sys.executable, "-m", "qibox.cli", "explore", run]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Served(process.stdout.readline().strip(), process)
        finally:
            process.terminate()


class Plot:
    """The plot on the tab Box: where Q and U lie on the screen."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        canvas = f"{DEEP}(e => e.localName == 'canvas')[0]"
        host = f"{DEEP}(e => e.localName == 'marimo-matplotlib')[0]"
        browser.wait(f"{canvas} != null")
        place: Any = browser.ask(f"(r => [r.x, r.y, r.width])({canvas}.getBoundingClientRect())")
        self._x, self._y, width = place
        self._bounds = browser.ask(f"JSON.parse({host}.dataset.axesPixelBounds)")
        self._scale = width / browser.ask(f"+{host}.dataset.width")

    def at(self, quality: float, instability: float) -> tuple[float, float]:
        """Where on the screen scores lie."""
        left, top, right, bottom = self._bounds
        (q_low, q_high), (u_low, u_high) = SCORES
        across, up = (quality - q_low) / (q_high - q_low), (instability - u_low) / (u_high - u_low)
        return (
            self._x + self._scale * (left + across * (right - left)),
            self._y + self._scale * (bottom - up * (bottom - top)),
        )

    def drag_lower_edge(self, quality: float, to: float) -> None:
        """Take the box by its lower edge, at some quality, and let it go elsewhere."""
        start = float(self._browser.ask(U_MIN))
        self._browser.drag([self.at(quality, start), self.at(quality, to)])
