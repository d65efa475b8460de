"""Processes beside this one that do whole shards of a turn that holds no model.

Threads share Python's lock, and such a turn is held up by it: with two threads a shard takes a
quarter longer than with one. So where much is to be done other processes take shards from the
turn's board as well, and do them in the very way of this one
(:class:`qibox.scoring.shards.ShardWorker`). They are forked: all that they need is there from the
start, and they are at work while this process still imports Beam. They share nothing but the files
of the run, and end when this process does, however that ends; one that dies costs nothing, as what
may not stand of its shards goes back to the board.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import Pipe, get_context

from qibox import stopping
from qibox.scoring.beside_child import serve
from qibox.scoring.board import Board
from qibox.scoring.footers import learn
from qibox.scoring.handing import SYNCING
from qibox.scoring.shards import Stages
from qibox.scoring.turns import ShardWork

MOST = 3  # each holds 200 MB, and with more of them they wait for the disk
OURS = {"MainThread", "signals", SYNCING}  # threads: nothing they hold is waited for


class GoneError(Exception):
    """The other process is no more."""


class Beside:
    """One such process.

    Those that are forked later hold this one's link as well: when this process is killed the last
    of them sees it, ends, and with it the one before.
    """

    def __init__(self, stages: Stages, root: str) -> None:
        """Fork it; nothing is waited for.

        Raises:
            OSError: this machine has no room for one more.
        """
        self._link, theirs = Pipe()
        with theirs:
            self._process = get_context("fork").Process(
                target=serve, args=(theirs, self._link, stages, root), daemon=True
            )
            self._process.start()
        self._standing: list[ShardWork] = []  # handed over, of which all may not stand yet

    @property
    def pid(self) -> int | None:
        """The process."""
        return self._process.pid

    def do(self, work: ShardWork) -> None:
        """Have it do what is missing of a shard.

        Raises:
            GoneError: it died: nothing of :meth:`unfinished` is sure to stand.
            StoppedError: this process is asked to stop, and has ended the other.
        """
        self._standing.append(work)
        self._ask(work)
        del self._standing[:-1]  # it waited for all but the last

    def settle(self) -> None:
        """Wait until all stands that it wrote.

        Raises:
            GoneError, StoppedError: as above.
        """
        self._ask(None)
        self._standing.clear()

    def unfinished(self) -> Sequence[ShardWork]:
        """What was handed over and may not stand."""
        return tuple(self._standing)

    def end(self) -> None:
        """End it; what it is at work on is left as it is."""
        self._process.kill()
        self._process.join()
        self._link.close()

    def _ask(self, work: ShardWork | None) -> None:
        try:
            with stopping.at_work(), stopping.on_stop(self._process.kill):
                self._link.send(work)
                is_, answer = self._link.recv()
        except (EOFError, OSError) as error:
            stopping.check()
            raise GoneError from error
        if is_ == "failed":
            raise answer
        learn(answer)


def most_beside() -> int:
    """How many processes are worth forking here: one a core beside this process's."""
    return min((os.cpu_count() or 1) - 1, MOST) if _is_free_to_fork() else 0


def _is_free_to_fork() -> bool:
    """Whether a fork waits for nothing: what another thread holds, or a model's library."""
    others = {thread.name.partition("_")[0] for thread in threading.enumerate()} - OURS
    return sys.platform == "linux" and not others and "torch" not in sys.modules


@contextmanager
def helped(board: Board, stages: Stages, root: str, count: int) -> Iterator[Callable[[], None]]:
    """Inside the block so many processes take shards from a board.

    Gives what waits until they have found none left, and all stands that they did; it raises what
    stopped one of them. They end with the block.
    """
    processes = _started(stages, root, count)
    threads = ThreadPoolExecutor(MOST, "beside")
    under_way = [threads.submit(_work_off, board, each) for each in processes]

    def settle() -> None:
        for each in under_way:
            each.result()

    try:
        yield settle
    finally:
        board.clear()
        for each in processes:
            each.end()
        threads.shutdown()


def _started(stages: Stages, root: str, count: int) -> list[Beside]:
    """As many as there is room for."""
    found: list[Beside] = []
    try:
        while len(found) < count:
            found.append(Beside(stages, root))
    except OSError:
        pass
    return found


def _work_off(board: Board, process: Beside) -> None:
    try:
        for work in board.taken():
            process.do(work)
        process.settle()
        process.end()  # while this process does its last shard, or closes the account
    except GoneError:
        board.put_back(process.unfinished())
    except BaseException:
        board.clear()
        raise
