"""Processes that are started in no time: forked from one that has imported what they need.

A process of `qibox` imports for seconds before it does anything, which tests that start dozens of
them would mostly wait for. ``start(SCORING, …)`` forks it from a process that has imported and done
nothing else: from there on it is a process like any other, with arguments, directory, environment
and end of its own.
"""

import atexit
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

SCORING = ("qibox.cli.score", "qibox.cli.eval", "qibox.pipelines.run", "qibox.figures.rates")
TRAINING = ("tests.grpo.preloaded",)


class Forked:
    """A process that was forked; what of :class:`subprocess.Popen` the tests need."""

    def __init__(self, parent: "_Parent", pid: int, said: IO[bytes]) -> None:
        self._parent, self.pid, self._said = parent, pid, said

    @property
    def returncode(self) -> int | None:
        """How it ended: its exit status, or less than zero the signal; None while it runs."""
        return self.poll()

    def poll(self) -> int | None:
        """As :attr:`returncode`."""
        return self._parent.ended(self.pid, wait=False)

    def wait(self) -> int:
        """Wait for its end."""
        status = self._parent.ended(self.pid, wait=True)
        assert status is not None
        return status

    def communicate(self) -> tuple[None, bytes]:
        """Wait for its end; what it said on stderr."""
        self.wait()
        self._said.seek(0)
        return None, self._said.read()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def start(
    modules: tuple[str, ...],
    entry: str,
    *arguments: object,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Forked:
    """Start ``module:function`` with these arguments as texts, all modules imported."""
    said = TemporaryFile()  # noqa: SIM115  # as long as the process
    job = {
        "entry": entry,
        "arguments": [*map(str, arguments)],
        "cwd": str(cwd or Path.cwd()),
        "environment": dict(os.environ) | dict(environment or {}),
    }
    return _parent(modules).start(job, said)


@cache
def _parent(modules: tuple[str, ...]) -> "_Parent":
    return _Parent(modules)


class _Parent:
    """The process that has imported, as seen from here."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.forked", str(theirs.fileno()), *modules]
        root = Path(__file__).parents[1]
        with theirs:
            fds = [theirs.fileno()]
            process = subprocess.Popen(command, pass_fds=fds, cwd=root, stdin=subprocess.DEVNULL)
        self._ended: dict[int, int] = {}
        atexit.register(process.wait)
        atexit.register(self._line.close)

    def start(self, job: dict[str, Any], said: IO[bytes]) -> Forked:
        data = json.dumps(job).encode()
        socket.send_fds(self._line, [data], [said.fileno()])
        while "started" not in (answer := self._hear()):
            pass
        return Forked(self, answer["started"], said)

    def ended(self, pid: int, *, wait: bool) -> int | None:
        self._line.setblocking(wait)
        try:
            while pid not in self._ended:
                self._hear()
        except BlockingIOError:
            return None
        finally:
            self._line.setblocking(True)
        return self._ended[pid]

    def _hear(self) -> dict[str, int]:
        data = self._line.recv(1 << 16)
        assert data, "the process that forks has ended"
        answer: dict[str, int] = json.loads(data)
        if "pid" in answer:
            self._ended[answer["pid"]] = answer["status"]
        return answer


def _fork_on_request(line: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; gives back that request in the child, None where there are no more."""
    selector = selectors.DefaultSelector()
    selector.register(line, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not line:  # a child's end
                _, status = os.waitpid(key.data, 0)
                selector.unregister(key.fileobj)
                os.close(key.fd)
                told = {"pid": key.data, "status": os.waitstatus_to_exitcode(status)}
                line.send(json.dumps(told).encode())
                continue
            data, fds, _, _ = socket.recv_fds(line, 1 << 20, 1)
            if not data:
                return None
            if (pid := os.fork()) == 0:
                os.dup2(fds[0], 2)
                line.close()
                selector.close()
                request: dict[str, Any] = json.loads(data)
                return request
            os.close(fds[0])
            selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
            line.send(json.dumps({"started": pid}).encode())


def _become(request: dict[str, Any]) -> None:
    """Be the process that was asked for."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    module, _, function = request["entry"].partition(":")
    getattr(importlib.import_module(module), function)(*request["arguments"])


if __name__ == "__main__":
    for name in sys.argv[2:]:
        importlib.import_module(name)
    asked = _fork_on_request(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        _become(asked)
