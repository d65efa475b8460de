"""The Beam step that does units: loads what a turn's stages work with once a process, and reports.

A DoFn's setup runs once a thread, so what is loaded lives in a
:class:`apache_beam.utils.shared.Shared` and counts its users: it is loaded for the first and closed
after the last.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress

import apache_beam as beam
from apache_beam.utils.shared import Shared

from qibox import stopping
from qibox.errors import QiboxError
from qibox.pipelines import kept
from qibox.run.storage import Storage
from qibox.scoring.board import board_of
from qibox.scoring.progress import Account, Reporter
from qibox.scoring.shards import ShardWorker, Stages
from qibox.scoring.stage import Tool
from qibox.scoring.turns import ShardWork, unpacked

STOPPED = "the wave was stopped"  # for another reason, which its own thread tells


class Held:
    """A process's tools, one a stage, and its reporter, there while someone uses them."""

    def __init__(
        self, stages: Stages, root: str, allow_remote_code: bool, *, keep: bool = False
    ) -> None:
        self.storage = Storage(root)
        light = all(stage.light for stage in stages)
        self._turn: AbstractContextManager[object] = nullcontext() if light else threading.Lock()
        self._stages = stages
        self._allow_remote_code = allow_remote_code
        self._keep = keep  # until it is told to close, whoever leaves
        self._change = threading.Condition()
        self._users = 0
        self._working = 0  # threads inside work()
        self._tools: tuple[Tool, ...] = ()
        self._reporter: Reporter | None = None

    def enter(self) -> ShardWorker:
        """Become a user, with a worker of its own; the first one loads."""
        with self._change:
            if self._reporter is None:
                self._reporter = Reporter(self.storage, [stage.name for stage in self._stages])
            accounts = self._reporter.accounts
            if not self._tools:
                self._tools = self._load(accounts)
            self._users += 1
            return ShardWorker(self._stages, self._tools, accounts, self.storage)

    def leave(self) -> None:
        """Be a user no more; the last one closes, once nobody is at work."""
        with self._change:
            self._users -= 1
            if self._users or self._keep:
                return
            self._change.wait_for(lambda: self._users or not self._working)
            if not self._users:  # nobody came meanwhile
                self._close()

    def close(self) -> None:
        """Close once nobody is at work; who comes now is turned away."""
        with self._change:
            self._users = 0
            self._change.wait_for(lambda: not self._working)
            self._close()

    def _close(self) -> None:
        tools, reporter = self._tools, self._reporter
        self._tools, self._reporter = (), None
        for tool in tools:
            tool.close()
        if reporter is not None:
            reporter.close()

    @contextmanager
    def work(self) -> Iterator[None]:
        """Use the tool while the context lasts.

        Raises:
            QiboxError: all have left: when a thread of a wave fails, Beam takes the step down while
                others are in it. They end the shard at hand, and must not begin another. The same
                where the process is asked to stop.
        """
        with self._change:
            if not self._users:
                raise QiboxError(STOPPED)
            self._working += 1
        try:
            with self._turn, stopping.at_work():
                yield
        finally:
            with self._change:
                self._working -= 1
                self._change.notify_all()

    def _load(self, accounts: Sequence[Account]) -> tuple[Tool, ...]:
        with ExitStack() as loaded:
            tools = []
            for stage, account in zip(self._stages, accounts, strict=True):
                try:
                    tool = stage.load(allow_remote_code=self._allow_remote_code)
                except QiboxError as error:
                    if not stopping.asked():
                        account.stop(error)
                    raise
                loaded.callback(tool.close)
                tools.append(tool)
            loaded.pop_all()  # all are there: whoever leaves last closes them
        return tuple(tools)


class DoUnits(beam.DoFn):
    """Does the pending units of one shard; gives back how many it did."""

    def __init__(
        self, stages: Stages, root: str, allow_remote_code: bool = False, kept: str | None = None
    ) -> None:
        self._stages = tuple(stages)
        self._root = root
        self._allow_remote_code = allow_remote_code
        self._kept = kept  # the turn under which this process keeps its tools; None: until it left
        self._shared = Shared()
        self._held: Held | None = None
        self._worker: ShardWorker | None = None
        self._unsettled = False

    def setup(self) -> None:
        """Open the run, and load the turn's tools unless this process has them."""
        held: Held = (
            self._shared.acquire(self._hold)
            if self._kept is None
            else kept.acquire(self._kept, self._hold)
        )
        self._worker = held.enter()
        self._held = held  # only now: leaving undoes an entry that succeeded

    def _hold(self) -> Held:
        return Held(self._stages, self._root, self._allow_remote_code, keep=self._kept is not None)

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[int]:
        """Do the units under one number of a turn."""
        _, shards = element
        for work in shards:
            yield self._do_shard(unpacked(work))

    def _do_shard(self, work: ShardWork) -> int:
        """Do what is missing of a shard."""
        held, worker = self._held, self._worker
        if held is None or worker is None:
            raise QiboxError(STOPPED)
        with held.work():
            self._unsettled = True
            return worker.do(work)

    def finish_bundle(self) -> None:
        """Nothing counts as done before it stands."""
        if self._held is not None and self._unsettled:
            with self._held.work():
                self._settle()

    def _settle(self) -> None:
        """Wait until all stands that was written."""
        self._unsettled = False
        if self._worker is not None:
            self._worker.settle()

    def teardown(self) -> None:
        """Let go of the tools, once nothing is under way."""
        if self._held is not None:
            if self._unsettled:
                with suppress(Exception):  # after an error, which is told
                    self._settle()
            self._held.leave()
            self._held = None


class DoPosted(DoUnits):
    """Does shards of a board, the next one after each, until none is left there."""

    def __init__(
        self, stages: Stages, root: str, allow_remote_code: bool = False, *, board: str
    ) -> None:
        super().__init__(stages, root, allow_remote_code)
        self._board = board

    def process(self, element: object) -> Iterator[int]:
        """Do what this thread gets hold of; the element only starts it."""
        for work in board_of(self._board).taken():
            yield self._do_shard(work)
