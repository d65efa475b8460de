"""The progress of a wave, from what its workers tell through the run's storage."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qibox.cli import console
from qibox.cli.progress import progress_bar

if TYPE_CHECKING:
    from qibox.run.storage import Storage
    from qibox.scoring.plan import Wave
    from qibox.scoring.progress import WaveProgress

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
    def wave(self, storage: "Storage", wave: "Wave") -> Iterator[None]:
        """Show a wave's rows, rate, time left and failures until it ends."""
        if self._quiet:
            yield
            return
        started = time.monotonic()
        end = threading.Event()
        show = self._show_bar if self._bars else self._show_lines
        thread = threading.Thread(target=show, args=(storage, wave, end), daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
        self.remark(_ended(_report(storage, wave), wave, time.monotonic() - started))

    def _show_bar(self, storage: "Storage", wave: "Wave", end: threading.Event) -> None:
        done_before = wave.total_rows - wave.pending_rows
        with progress_bar("rows", transient=True) as bar:
            task = bar.add_task(wave.name, total=wave.total_rows, completed=done_before, remark="")
            while not end.wait(_poll(storage)):
                report = _report(storage, wave)
                bar.update(
                    task, completed=done_before + report.rows, remark=f"{report.failed:,} failed"
                )

    def _show_lines(self, storage: "Storage", wave: "Wave", end: threading.Event) -> None:
        started = time.monotonic()
        while not end.wait(LINE_S):
            report = _report(storage, wave)
            rate = report.rows / (time.monotonic() - started)
            left = f"{(wave.pending_rows - report.rows) / rate:,.0f} s left" if rate else "no rate"
            self.remark(
                f"{wave.name}: {report.rows:,} of {wave.pending_rows:,} rows, "
                f"{rate:,.0f} a second, {left}, {report.failed:,} failed"
            )


def _ended(report: "WaveProgress", wave: "Wave", seconds: float) -> str:
    rows = wave.pending_rows
    kept = wave.total_rows - rows
    done = (
        f"{wave.name}: {rows:,} rows in {seconds:.1f} s, {rows / max(seconds, 1e-3):,.0f} a second"
    )
    failed = f", {report.failed:,} failed" if report.failed else ""
    return f"{done}{failed}" + (f"; {kept:,} were there already" if kept else "")


def _report(storage: "Storage", wave: "Wave") -> "WaveProgress":
    from qibox.scoring.progress import read_progress

    report = read_progress(storage, wave.name)
    return report.model_copy(update={"rows": min(report.rows, wave.pending_rows)})


def _poll(storage: "Storage") -> float:
    return POLL_S if storage.is_local else REMOTE_POLL_S
