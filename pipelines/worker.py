"""The Beam step that does units: loads a wave's engine or judge once a process, and reports.

A DoFn's setup runs once a thread, so what is loaded lives in a
:class:`apache_beam.utils.shared.Shared` and counts its users: it is loaded for the first and closed
after the last.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Generic

import apache_beam as beam
from apache_beam.utils.shared import Shared

from qibox.errors import QiboxError
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.progress import Reporter
from qibox.scoring.stage import Stage, T, TellRows
from qibox.trouble import told

Work = Callable[[T, Storage, Sequence[Unit], TellRows], None]

STOPPED = "the wave was stopped"  # for another reason, which its own thread tells


class Held(Generic[T]):
    """A process's tool and reporter, there while someone uses them."""

    def __init__(self, stage: Stage[T], root: str, allow_remote_code: bool) -> None:
        self.storage = Storage(root)
        self._turn: AbstractContextManager[object] = (
            nullcontext() if stage.concurrent else threading.Lock()
        )
        self._stage = stage
        self._allow_remote_code = allow_remote_code
        self._change = threading.Condition()
        self._users = 0
        self._working = 0  # threads inside work()
        self._tool: T | None = None
        self._reporter: Reporter | None = None

    def enter(self) -> tuple[T, Reporter]:
        """Become a user; the first one loads."""
        with self._change:
            if self._reporter is None:
                self._reporter = Reporter(self.storage, self._stage.name)
            if self._tool is None:
                self._tool = self._load(self._reporter)
            self._users += 1
            return self._tool, self._reporter

    def leave(self) -> None:
        """Be a user no more; the last one closes, once nobody is at work."""
        with self._change:
            self._users -= 1
            if self._users:
                return
            self._change.wait_for(lambda: self._users or not self._working)
            if self._users:  # somebody came meanwhile
                return
            tool, reporter = self._tool, self._reporter
            self._tool = self._reporter = None
            if tool is not None:
                tool.close()
            if reporter is not None:
                reporter.close()

    @contextmanager
    def work(self) -> Iterator[None]:
        """Use the tool while the context lasts.

        Raises:
            QiboxError: all have left: when a thread of a wave fails, Beam takes the step down while
                others are in it. They end the shard at hand, and must not begin another.
        """
        with self._change:
            if not self._users:
                raise QiboxError(STOPPED)
            self._working += 1
        try:
            with self._turn:
                yield
        finally:
            with self._change:
                self._working -= 1
                self._change.notify_all()

    def _load(self, reporter: Reporter) -> T:
        try:
            return self._stage.load(allow_remote_code=self._allow_remote_code)
        except QiboxError as error:
            reporter.stop(error)
            raise


class DoUnits(beam.DoFn, Generic[T]):
    """Does the pending units of one shard; gives back how many it did."""

    def __init__(self, stage: Stage[T], root: str, allow_remote_code: bool = False) -> None:
        self._stage = stage
        self._root = root
        self._allow_remote_code = allow_remote_code
        self._shared = Shared()
        self._held: Held[T] | None = None

    def setup(self) -> None:
        """Open the run, and load the wave's tool unless this process has it."""
        held: Held[T] = self._shared.acquire(
            lambda: Held(self._stage, self._root, self._allow_remote_code)
        )
        self._tool, self._reporter = held.enter()
        self._held = held  # only now: leaving undoes an entry that succeeded

    def process(self, element: tuple[int, Iterable[tuple[Unit, ...]]]) -> Iterator[int]:
        """Do the units under one number of a wave."""
        _, shards = element
        for units in shards:
            yield self._do_missing(units)

    def _do_missing(self, units: tuple[Unit, ...]) -> int:
        """Do those of the units that are not done: a retried bundle comes twice.

        Mending twice asks again for what failed again, and changes nothing else.
        """
        held = self._held
        if held is None:
            raise QiboxError(STOPPED)
        with held.work():
            storage = held.storage
            mend = tuple(unit for unit in units if unit.mend is not None)
            make = tuple(
                unit
                for unit in units
                if unit.mend is None and storage.table_key(unit.path) != unit.key
            )
            if mend:  # first: what is made anew takes over what was said of equal texts
                self._do(self._stage.mend, storage, mend)
            if make:
                self._do(self._stage.do, storage, make)
        return len(mend) + len(make)

    def _do(self, work: Work[T], storage: Storage, units: tuple[Unit, ...]) -> None:
        try:
            with self._reporter.units(len(units)) as report:
                work(self._tool, storage, units, report)
        except Exception as error:
            trouble = told(error)
            if trouble is None:
                raise
            self._reporter.stop(trouble)
            raise trouble from error

    def teardown(self) -> None:
        """Let go of the tool."""
        if self._held is not None:
            self._held.leave()
            self._held = None
