"""An engine in a child process that can be killed: when it hangs, dies or eats all memory.

A batch whose process died is tried again as a whole a bounded number of times, then divided, so
that a prompt that kills the process costs its own rows only. Whatever cannot be done within the
allowed restarts comes back as rows with the reason; none is lost. Child processes are ended with
everything they started, at the latest when this process ends, however it ends.
"""

import atexit
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from typing import IO, Any

import pyarrow as pa

from qibox.engines.completions import failures
from qibox.engines.process import messages as wire
from qibox.errors import QiboxError
from qibox.manifests.sampling import Sampling
from qibox.manifests.settings import HostedSettings
from qibox.stopping import StoppedError, check, on_stop

_log = logging.getLogger(__name__)

LOG_TAIL = 2000  # characters of a child's log shown when it cannot start
CLOSE_TIMEOUT = 60.0  # seconds for an engine to free its memory before its process is killed


class ChildDiedError(Exception):
    """The child process is no more; the message says how it ended, ``said`` what it logged last."""

    said = ""


class _Process:
    """One child process and the link to it."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self.link, theirs = socket.socketpair()
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.owner = os.getpid()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "qibox.engines.process.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
                start_new_session=True,  # so that all it starts can be ended with it
            )
        self.pid = self._process.pid

    def ask(
        self, head: dict[str, Any], timeout: float, table: pa.Table | None = None
    ) -> tuple[dict[str, Any], pa.Table | None]:
        """Send a message and wait for its answer, as long as signs of progress come in time.

        Raises:
            ChildDiedError: the process died, or was silent for ``timeout`` seconds.
            StoppedError: this process is asked to stop, and has ended the other.
        """
        try:
            with on_stop(self._strike_down):
                self.link.settimeout(timeout)
                wire.send(self.link, head, table)
                while True:
                    answer, body = wire.receive(self.link, timeout)
                    if answer["is"] != "progress":
                        return answer, body
        except wire.SilentError:
            self.kill()
            raise ChildDiedError(f"engine made no progress for {timeout:g} s") from None
        except wire.ClosedError:
            ended = self.kill()
            check()
            raise ChildDiedError(f"engine process died ({ended})") from None

    def _strike_down(self) -> None:
        """End the process and all it started; whoever waits for it sees the link end."""
        os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> str:
        """End the process and all it started; returns how it had ended by then."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)  # a dying process has closed its link before it is gone
        ended = self._process.poll()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self.link.close()
        if ended is None:
            return "killed"
        return f"signal {signal.Signals(-ended).name}" if ended < 0 else f"exit status {ended}"

    def said(self) -> str:
        """The end of what the process wrote to its log."""
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")[-LOG_TAIL:].strip()


_idle: list[_Process] = []  # with their libraries imported, waiting for another model
_all: list[_Process] = []
_guard = threading.Lock()


def _take(environment: dict[str, str] | None) -> _Process:
    """A waiting process, or a new one; one with an environment of its own is always new."""
    with _guard:
        while _idle and environment is None:
            process = _idle.pop()
            if process.owner == os.getpid():
                return process
    process = _Process(environment)
    _all.append(process)
    return process


def end_idle_children() -> None:
    """End the processes that wait for another model."""
    with _guard:
        waiting = [process for process in _idle if process.owner == os.getpid()]
        _idle.clear()
    for process in waiting:
        _end(process)


def _end(process: _Process) -> None:
    process.kill()
    process.log.close()
    if process in _all:
        _all.remove(process)


@atexit.register
def _end_all() -> None:
    for process in [p for p in _all if p.owner == os.getpid()]:
        _end(process)


class ChildEngine:
    """An engine made by ``factory(**arguments)`` in a child process.

    ``factory`` is ``module:function``. With ``reuse`` the process outlives the engine and serves
    the next one, which spares the import of large libraries.
    """

    def __init__(
        self,
        factory: str,
        arguments: dict[str, Any],
        settings: HostedSettings,
        *,
        reuse: bool = False,
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start the process and load the engine.

        Raises:
            QiboxError: the engine refuses to load, or its process dies of it.
        """
        self._load = {"do": "load", "factory": factory, "arguments": arguments}
        self._settings = settings
        self._reuse = reuse and environment is None
        self._environment = environment
        self._lock = threading.Lock()
        self._restarts_left = 0
        if not self._reuse:
            end_idle_children()  # they may hold memory that this engine needs
        self._process: _Process | None = None
        try:
            self._start()
        except ChildDiedError as error:
            log = f"; its log ends:\n{error.said}" if error.said else ""
            raise QiboxError(f"{error} while it loaded{log}") from error

    @property
    def pid(self) -> int | None:
        """The child process, if there is one now."""
        return self._process.pid if self._process else None

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        """Complete each prompt; rows that could not be done carry the reason."""
        with self._lock:
            self._restarts_left = self._settings.max_restarts
            return pa.concat_tables(self._solve(prompts, sampling, self._settings.retries))

    def close(self) -> None:
        """End the engine, and its process unless it is kept for another."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            closed = process.ask({"do": "close"}, CLOSE_TIMEOUT)[0]["is"] == "done"
        except (ChildDiedError, StoppedError):
            closed = False
        if closed and self._reuse:
            with _guard:
                _idle.append(process)
        else:
            _end(process)

    def _solve(self, prompts: pa.Table, sampling: Sampling, retries: int) -> list[pa.Table]:
        for _ in range(retries + 1):
            try:
                return [self._ask(prompts, sampling)]
            except ChildDiedError as error:
                reason = str(error)
                _log.warning(
                    "%s, with %d prompts in hand: it is started again", reason, len(prompts)
                )
            if self._restarts_left == 0:
                break
        if len(prompts) <= 1 or self._restarts_left == 0:
            return [failures(prompts["key"].to_pylist(), sampling.samples, reason)]
        half = len(prompts) // 2
        return [
            *self._solve(prompts.slice(0, half), sampling, 0),
            *self._solve(prompts.slice(half), sampling, 0),
        ]

    def _ask(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        if self._process is None:
            if self._restarts_left == 0:
                raise ChildDiedError("engine process died too often")
            self._restarts_left -= 1
            self._restart()
        assert self._process is not None
        head = {"do": "generate", "sampling": sampling.model_dump(mode="json")}
        try:
            answer, table = self._process.ask(head, self._settings.stall_timeout_s, prompts)
        except ChildDiedError:
            self._drop()
            raise
        if answer["is"] == "done":
            return table
        if answer["is"] == "broken":
            self._drop()
            raise ChildDiedError(f"engine broke: {answer['reason']}")
        raise QiboxError(f"engine failed: {answer['reason']}")

    def _start(self) -> None:
        self._process = _take(self._environment)
        try:
            answer, _ = self._process.ask(self._load, self._settings.start_timeout_s)
        except ChildDiedError as error:
            error.said = self._process.said()
            self._drop()
            raise
        if answer["is"] != "done":
            reason, log = answer["reason"], self._process.said()
            self._drop()
            above = "root cause above" in reason  # vLLM's own children say why in the log alone
            raise QiboxError(f"{reason}; its log ends:\n{log}" if above and log else reason)

    def _restart(self) -> None:
        try:
            self._start()
        except QiboxError as error:  # it loaded once, so this too may pass
            raise ChildDiedError(f"engine did not start again: {error}") from error

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _end(process)
