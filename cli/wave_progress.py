"""The progress of a turn, from what its workers tell through the run's storage."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qibox.cli import console
from qibox.cli.progress import progress_bar

if TYPE_CHECKING:
    from qibox.run.storage import Storage
    from qibox.scoring.progress import WaveProgress
    from qibox.scoring.turns import Turn

POLL_S = 0.5  # between two looks at the workers' reports, on a local disk
REMOTE_POLL_S = 10.0
LINE_S = 30.0  # between two plain lines


class ConsoleWatcher:
    """Watches a run for a person at a terminal, or for a log file."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bars = console.err.is_terminal and not quiet

    def remark(self, text: str) -> None:
        """Print one sentence."""
        if not self._quiet:
            console.err.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], None]]:
        """Count the rows of the pool while it is read; how many there are is not known before."""
        lock = threading.Lock()
        started = said = time.monotonic()
        rows = 0

        def advance(more: int) -> None:
            nonlocal rows, said
            with lock:
                rows += more
                now = time.monotonic()
                if now - said >= LINE_S:
                    said = now
                    self.remark(f"pool: {rows:,} rows read, {rows / (now - started):,.0f} a second")

        yield advance
        took = time.monotonic() - started
        self.remark(f"pool: {rows:,} rows read in {took:.1f} s")

    @contextmanager
    def turn(self, storage: "Storage", turn: "Turn") -> Iterator[None]:
        """Show the rows of a turn's waves, their rate, the time left and failures until it ends."""
        if self._quiet:
            yield
            return
        started = time.monotonic()
        end = threading.Event()
        show = self._show_bar if self._bars else self._show_lines
        thread = threading.Thread(target=show, args=(storage, turn, end), daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
        self.remark(_ended(_report(storage, turn), turn, time.monotonic() - started))

    def _show_bar(self, storage: "Storage", turn: "Turn", end: threading.Event) -> None:
        done_before = turn.total_rows - turn.pending_rows
        with progress_bar("rows", transient=True) as bar:
            task = bar.add_task(turn.name, total=turn.total_rows, completed=done_before, remark="")
            while not end.wait(_poll(storage)):
                report = _report(storage, turn)
                bar.update(
                    task, completed=done_before + report.rows, remark=f"{report.failed:,} failed"
                )

    def _show_lines(self, storage: "Storage", turn: "Turn", end: threading.Event) -> None:
        started = time.monotonic()
        while not end.wait(LINE_S):
            report = _report(storage, turn)
            rate = report.rows / (time.monotonic() - started)
            left = f"{(turn.pending_rows - report.rows) / rate:,.0f} s left" if rate else "no rate"
            self.remark(
                f"{turn.name}: {report.rows:,} of {turn.pending_rows:,} rows, "
                f"{rate:,.0f} a second, {left}, {report.failed:,} failed"
            )


def _ended(report: "WaveProgress", turn: "Turn", seconds: float) -> str:
    rows = turn.pending_rows
    kept = turn.total_rows - rows
    done = (
        f"{turn.name}: {rows:,} rows in {seconds:.1f} s, {rows / max(seconds, 1e-3):,.0f} a second"
    )
    failed = f", {report.failed:,} failed" if report.failed else ""
    return f"{done}{failed}" + (f"; {kept:,} were there already" if kept else "")


def _report(storage: "Storage", turn: "Turn") -> "WaveProgress":
    from qibox.scoring.progress import WaveProgress, read_progress

    reports = [read_progress(storage, wave.name) for wave in turn.waves]
    rows = min(sum(report.rows for report in reports), turn.pending_rows)
    return WaveProgress(rows=rows, failed=sum(report.failed for report in reports))


def _poll(storage: "Storage") -> float:
    return POLL_S if storage.is_local else REMOTE_POLL_S
