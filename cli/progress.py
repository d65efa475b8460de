"""Progress of long work: a bar on a terminal, a line now and then elsewhere, nothing when quiet.

The one display of scoring, evaluation (:mod:`qibox.cli.wave_progress`), choosing and training.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qibox.cli import console

LINES = 10  # of plain progress over work whose steps are counted here

Count = Callable[[int, str], None]  # steps done since the last call, a remark on them


@contextmanager
def counting(what: str, total: int) -> Iterator[Count]:
    """Show how far ``total`` steps have come, and how long the rest will take."""
    if console.err.is_terminal:
        with progress_bar("steps") as bar:
            task = bar.add_task(what, total=total, remark="")

            def advance(done: int, remark: str = "") -> None:
                bar.update(task, advance=done, remark=remark)

            yield advance
        return
    yield _plain(what, total)


def progress_bar(unit: str, *, transient: bool = False) -> Any:
    """A bar with rate, time taken and time left; each task has a field ``remark``."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.{0 if speed >= 10 else 1}f} {unit}/s")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[remark]}"),
        console=console.err,
        transient=transient,
    )


def _plain(what: str, total: int) -> Count:
    started = time.monotonic()
    done = 0

    def advance(steps: int, remark: str = "") -> None:
        nonlocal done
        before, done = done, done + steps
        if done * LINES // total > before * LINES // total:
            left = (time.monotonic() - started) / done * (total - done)
            words = f"{what} {done}/{total}, {left:.0f} s left"
            console.err.print(f"{words}: {remark}" if remark else words, highlight=False)

    return advance
