"""What a selection takes its time for: pictures that are looked at, wordings that are asked for."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qibox.cli.progress import Count
    from qibox.run.directory import Run

MANY = 1000  # pictures, whose looking at is told of

Looked = Callable[[str, int], None]  # what is looked at, and how many of it since the last call
Asked = Callable[[str, int, int], None]  # what is done, for how many since, and for how many in all


@contextmanager
def watching(run: "Run") -> Iterator[tuple[Looked, Asked]]:
    """Show how far the pictures' signatures are, where they are not kept yet, then the wordings."""
    from qibox.cli import console
    from qibox.cli.progress import counting
    from qibox.likeness.kept import missing

    looked_at: Counter[str] = Counter()
    started = last = time.monotonic()
    bars: dict[str, Count] = {}
    with ExitStack() as shown:
        wanted = missing(run) if run.pool_index() is not None else 0
        if wanted >= MANY:
            bars["pool"] = shown.enter_context(counting("looking at pictures", wanted))

        def looked(what: str, count: int) -> None:
            nonlocal last
            looked_at[what] += count
            last = time.monotonic()
            if what in bars:
                bars[what](count, "")

        def asked(what: str, done: int, of: int) -> None:
            if what not in bars:
                shown.close()  # a terminal has room for one
                bars[what] = shown.enter_context(counting(what, of))
            bars[what](done, "")

        yield looked, asked
    if (total := looked_at.total()) >= MANY:
        rate = total / max(last - started, 1e-9)
        console.err.print(
            f"looked at {total:,} pictures, {rate:,.0f} a second; they need not be again",
            highlight=False,
        )
