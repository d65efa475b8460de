"""Run a command and measure it: wall time, peak memory, and when each line of its stderr came."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

QIBOX = [sys.executable, "-P", "-c", "from qibox.cli.main import main; main()"]


@dataclass(frozen=True)
class Measured:
    """What a command took."""

    seconds: float
    peak_mb: float  # resident memory of its largest process, MiB
    lines: tuple[tuple[float, str], ...]  # of stderr, with the seconds since the start

    def when(self, start: str) -> float:
        """Seconds from the start until the first line that begins so."""
        return next(at for at, line in self.lines if line.startswith(start))


def measure(command: list[str]) -> Measured:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; the message has what it said last.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines = tuple((time.perf_counter() - started, line.rstrip()) for line in process.stderr)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        said = "\n".join(line for _, line in lines[-20:])
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{said}")
    return Measured(seconds, usage.ru_maxrss / 1024, lines)


def score_command(folder: Path, out: Path) -> list[str]:
    """`qibox score` on what inputs.py made."""
    manifests = ["--pool", str(folder / "pool.yaml"), "--panel", str(folder / "panel.yaml")]
    return [*QIBOX, "score", *manifests, "--judge", "hash", "--out", str(out)]
