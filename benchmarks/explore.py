"""What a person waits for on the page of `qibox explore`, at 159,000 scored samples.

In a real headless Chromium, from the moment of the act until its result is in the page: the first
view from navigation (server and browser are up), a box moved by its edge until the new counts are
there, the gallery and its next page. Memory is that of the server's process and of the page's own
process in the browser, resident at the end.

Run, with Debian's chromium, after full_scale.py: python benchmarks/explore.py /tmp/qibox-bench
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))  # the browser is that of the tests

from tests.browser import Browser, click
from tests.page.driving import INSIDE, U_MIN, Plot, Served, serving

MIB = 2**20
NEAR = 0.02  # points of U: a pixel of the plot is about 0.012
CARDS = "[...document.querySelectorAll('.card img')].filter(i => i.naturalWidth).length == 12"


def timed(act: Callable[[], object], browser: Browser, done: str) -> float:
    """Seconds from an act until something is true in the page."""
    started = time.perf_counter()
    act()
    browser.wait(done)
    return time.perf_counter() - started


def first_view(address: str) -> float:
    """Seconds from navigation to the plot and the counts, in a browser new to the page."""
    with Browser() as browser:
        seen = f"{INSIDE} >= 0 && document.querySelector('marimo-matplotlib') != null"
        return timed(lambda: browser.go(address), browser, seen)


def box_moves(browser: Browser, rounds: int) -> list[float]:
    """Seconds from taking the box by its lower edge to the counts where it was let go."""
    plot = Plot(browser)
    found = []
    for at in range(rounds):
        target = 1.0 + 0.3 * ((at + 1) % 2) + 0.1 * at
        there = f"Math.abs({U_MIN} - {target}) < {NEAR}"
        found.append(timed(lambda to=target: plot.drag_lower_edge(5.0, to), browser, there))
        time.sleep(1)
    return found


def gallery_pages(browser: Browser, rounds: int) -> list[float]:
    """Seconds to the gallery from another tab, then from page to page."""
    found = [timed(lambda: click(browser, "button", "Samples"), browser, CARDS)]
    for at in range(2, rounds + 1):
        first = f"document.querySelector('#where').innerText.startsWith('{12 * at - 11} to ')"
        shown = f"{first} && {CARDS}"
        time.sleep(1)
        found.append(timed(lambda: click(browser, "button", "page →"), browser, shown))
    return found


def memory(browser: Browser, served: Served) -> tuple[float, float]:
    """Resident memory of the server and of the browser's process for the page, MiB."""
    server = psutil.Process(served.process.pid).memory_info().rss
    pages = [p for p in browser.processes() if "--type=renderer" in p.cmdline()]
    return server / MIB, max(p.memory_info().rss for p in pages) / MIB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where full_scale.py has put its run")
    parser.add_argument("--samples", type=int, default=159_000)
    parser.add_argument("--responses", type=int, default=5, help="K, a model and sample")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    run = arguments.folder / f"{arguments.samples}x{arguments.responses}" / "run"
    rounds = arguments.rounds
    with serving(str(run)) as served:
        views = [first_view(served.address) for _ in range(rounds)]
        with Browser() as browser:
            browser.go(served.address)
            browser.wait(f"{INSIDE} >= 0")
            moves = box_moves(browser, rounds)
            pages = gallery_pages(browser, rounds)
            server, page = memory(browser, served)
    for name, seconds in (("first view", views), ("box move", moves), ("gallery page", pages)):
        print(f"{name:12}", *(f"{each:6.2f} s" for each in seconds))
    print(f"explore_first_view: {median(views):.2f}")
    print(f"explore_box_move: {median(moves):.2f}")
    print(f"explore_gallery_page: {median(pages):.2f}")
    print(f"explore_memory_server: {server:.0f}")
    print(f"explore_memory_page: {page:.0f}")


if __name__ == "__main__":
    main()
