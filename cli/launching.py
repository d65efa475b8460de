"""One command as several processes: torchrun, started and ended with this process."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIDY_S = 5.0  # for processes that are asked to end


def launched(processes: int, arguments: list[str]) -> int:
    """Run this command line again in several processes; their exit status.

    Asked to stop, it ends torchrun, which would tell of each process that it ends, and lets the
    processes put down what they hold. They hear nothing from the terminal: torchrun gives each a
    session of its own.
    """
    from qibox.stopping import QUIET

    with tempfile.TemporaryDirectory(prefix="qibox-torchrun-") as logs:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--log-dir", logs]
        ours = ["-m", "qibox.cli", *arguments]
        command = [sys.executable, *torchrun, f"--nproc-per-node={processes}", *ours]
        environment = {**os.environ, QUIET: "1"}
        launcher = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            return launcher.wait()
        except BaseException:
            end_launched(launcher)
            raise


def end_launched(launcher: "subprocess.Popen[bytes]") -> None:
    """End torchrun and the processes that it started, these by themselves if they do so in time."""
    from qibox.stopping import descendants

    launcher.send_signal(signal.SIGSTOP)  # it must not see them end, nor start others
    ours = descendants(launcher.pid)
    for process in ours:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    until = time.monotonic() + TIDY_S
    while any(map(_is_alive, ours)) and time.monotonic() < until:
        time.sleep(0.05)
    for process in (*ours, launcher.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    launcher.wait()


def _is_alive(process: int) -> bool:
    """Whether a process still works: one that has ended is kept until its parent has looked."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
