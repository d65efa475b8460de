"""Processes beside this one that do whole shards of turns that hold no model.

Threads share Python's lock, and such a turn is held up by it: with two threads a shard takes a
quarter longer than with one. So where much is to be done a shard of every other thread is done by a
process of its own, in the very way of this one (:class:`qibox.scoring.shards.ShardWorker`), while
the thread waits. It shares nothing but the files of the run, and ends when this process does,
however that ends; one that dies costs nothing, as its thread does itself what does not stand.

They are started before it is known what there is to do, while this process still reads its pool.
"""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from qibox.scoring.footers import learn
from qibox.scoring.shards import Stages
from qibox.scoring.turns import ShardWork
from qibox.stopping import check, on_stop

MOST = 3  # each holds 200 MB, and with more of them they wait for the disk


class GoneError(Exception):
    """The other process is no more."""


class Beside:
    """One such process; a thread has it to itself."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "qibox.scoring.beside_child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is ours to tell
            )
        self._link = Connection(ours.detach())
        self._standing: list[ShardWork] = []  # handed over, of which all may not stand yet

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def begin(self, stages: Stages, root: str) -> None:
        """Have it load what a turn works with; nothing is waited for."""
        with contextlib.suppress(OSError):  # it is gone, which whoever hands it a shard learns
            self._link.send(("begin", tuple(stages), root))

    def do(self, work: ShardWork) -> int:
        """Have it do what is missing of a shard; gives back how many units that was.

        Raises:
            GoneError: it died: nothing of :meth:`unfinished` is sure to stand.
            StoppedError: this process is asked to stop, and has ended the other.
        """
        self._standing.append(work)
        done: int = self._ask("do", work)
        del self._standing[:-1]  # it waited for all but the last
        return done

    def settle(self) -> None:
        """Wait until all stands that it wrote.

        Raises:
            GoneError, StoppedError: as above.
        """
        learn(self._ask("settle", None))
        self._standing.clear()

    def unfinished(self) -> Sequence[ShardWork]:
        """What was handed over and may not stand."""
        return tuple(self._standing)

    def end(self) -> None:
        """End it; what it is at work on is left as it is."""
        self._link.close()
        self._process.kill()
        self._process.wait()

    def _ask(self, what: str, with_: object) -> Any:
        try:
            with on_stop(self._process.kill):
                self._link.send((what, with_))
                is_, answer = self._link.recv()
        except (EOFError, OSError) as error:
            check()
            raise GoneError from error
        if is_ == "failed":
            raise answer
        return answer


_running: list[Beside] = []
_idle: list[Beside] = []  # of the turn that is under way


def start() -> None:
    """Start as many as the machine has cores beside this process's, unless they are there."""
    if not _running:
        _running.extend(Beside() for _ in range(min((os.cpu_count() or 1) - 1, MOST)))


@contextmanager
def ending() -> Iterator[None]:
    """End in the end what was started inside the block."""
    try:
        yield
    finally:
        for each in _running:
            each.end()
        _running.clear()


@contextmanager
def lending(stages: Stages, root: str) -> Iterator[int]:
    """Inside the block threads may :func:`take` one for a turn; gives how many there are.

    Without ``stages``, none.
    """
    lent = _running if stages else []
    for each in lent:
        each.begin(stages, root)
    _idle.extend(lent)
    try:
        yield len(lent)
    finally:
        _idle.clear()


def take() -> Beside | None:
    """One that no other thread has; None where there is none."""
    with contextlib.suppress(IndexError):
        return _idle.pop()
    return None
