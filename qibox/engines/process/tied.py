"""A command tied to whoever started it.

``python -m qibox.engines.process.tied DESCRIPTOR COMMAND …`` runs the command in a session of its
own and ends it, with all it started, once the other end of the inherited socket is closed: on
purpose, or because that process is gone, however it ended. Ends with the command's own exit status
where that came first.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading

GRACE = 15.0  # seconds to end by itself before the rest is killed


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process that leads its own group to end, then kill what is left of the group."""
    _signal(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def main() -> None:
    """Run until the command ends or the starter is gone."""
    link = socket.socket(fileno=int(sys.argv[1]))
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal's; the starter decides
        signal.signal(number, signal.SIG_IGN)
    process = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, start_new_session=True)

    def watch() -> None:
        with contextlib.suppress(OSError):
            link.recv(1)  # nothing is ever sent: it returns when the other end is closed
        end(process)

    threading.Thread(target=watch, daemon=True).start()
    status = process.wait()
    _signal(process.pid, signal.SIGKILL)  # what it left behind
    os._exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
