"""What a process does of a turn: shard after shard, each stage by stage.

The runner's step uses it (:mod:`qibox.pipelines.worker`), and so does a process beside that one
(:mod:`qibox.scoring.beside`).
"""

import socket
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

from qibox import stopping
from qibox.errors import QiboxError
from qibox.run.directory import RUN_FILE
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.handing import shard_storage
from qibox.scoring.memory import give_back
from qibox.scoring.progress import Account
from qibox.scoring.stage import Stage, TellRows, Tool
from qibox.scoring.turns import ShardWork
from qibox.trouble import told

Work = Callable[[Any, Storage, Sequence[Unit], TellRows], None]
Stages = Sequence[Stage[Any]]

GIVEN_BACK = 64  # shards after which free memory is given back: else 10 MB more in some hundreds


class ShardWorker:
    """Does the pending units of shards, with a tool and an account for each stage.

    One thread uses it; others have one of their own with the same tools.
    """

    def __init__(
        self,
        stages: Stages,
        tools: Sequence[Tool],
        accounts: Sequence[Account],
        storage: Storage,
    ) -> None:
        self._stages = stages
        self._tools = tools
        self._accounts = accounts
        self._storage = storage
        self._unsettled: list[tuple[int, Callable[[], None]]] = []  # last stage, what waits
        self._since = 0  # memory was given back, shards done

    def do(self, work: ShardWork) -> int:
        """Do what is missing of a shard; gives back how many units that was.

        While the disk takes this shard the next one is worked on: all before it stand by now.
        """
        storage = shard_storage(self._storage, [units for _, units in work])
        standing = _standing(storage, work)
        try:
            done = sum(self._do_missing(number, units, storage, standing) for number, units in work)
        finally:
            self._unsettled.append((work[-1][0], storage.settling()))
        self.settle(all_but=1)
        self._since += 1
        if self._since == GIVEN_BACK:
            self._since = 0
            give_back()
        return done

    def settle(self, all_but: int = 0) -> None:
        """Wait until all shards stand that were written, but for the last ones."""
        while len(self._unsettled) > all_but:
            number, wait = self._unsettled.pop(0)
            with self._telling(number):
                wait()

    def _do_missing(
        self, number: int, units: Sequence[Unit], storage: Storage, standing: Set[str]
    ) -> int:
        """Do those of a stage's units that are not done: a retried bundle comes twice.

        Mending twice asks again for what failed again, and changes nothing else.
        """
        stopping.check()
        stage = self._stages[number]
        mend = tuple(unit for unit in units if unit.mend is not None)
        make = tuple(unit for unit in units if unit.mend is None and unit.path not in standing)
        if mend:  # first: what is made anew takes over what was said of equal texts
            self._do(stage.mend, number, storage, mend)
        if make:
            self._do(stage.do, number, storage, make)
        return len(mend) + len(make)

    def _do(self, work: Work, number: int, storage: Storage, units: tuple[Unit, ...]) -> None:
        with self._telling(number), self._accounts[number].units(len(units)) as report:
            work(self._tools[number], storage, units, report)

    @contextmanager
    def _telling(self, number: int) -> Iterator[None]:
        """Tell in a stage's account why its work cannot go on."""
        try:
            yield
        except stopping.StoppedError:
            raise
        except Exception as error:
            if isinstance(error, FileNotFoundError):
                self._check_run_is_seen(error)
            trouble = told(error)
            if trouble is None:
                raise
            self._accounts[number].stop(trouble)
            raise trouble from error

    def _check_run_is_seen(self, error: FileNotFoundError) -> None:
        """Tell a file that is gone from a run that lies elsewhere, where nothing is to be left.

        Raises:
            QiboxError: this machine has no such run.
        """
        if not self._storage.exists(RUN_FILE):
            raise QiboxError(
                f"a worker on {socket.gethostname()} does not see the run at {self._storage.url}: "
                "it must lie on storage that all workers and this machine reach under one name"
            ) from error


def _standing(storage: Storage, work: ShardWork) -> set[str]:
    """The files that an earlier try of this work made, which has come to this process again.

    Files are written in the order of their units, each once all before it stand: after the first
    that is not there none needs to be looked for.
    """
    made = (unit for _, units in work for unit in units if unit.mend is None)
    return {unit.path for unit in takewhile(lambda u: storage.table_key(u.path) == u.key, made)}
