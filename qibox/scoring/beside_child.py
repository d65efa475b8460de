"""What a process beside does from its fork on: answers messages, one at a time.

When the other process is gone it ends itself, even in the middle of a shard: files are whole or
absent. Until then it holds the run's lock too.
"""

import gc
import os
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import NoReturn

from qibox.errors import QiboxError
from qibox.importing import Withheld
from qibox.run.storage import Storage
from qibox.scoring.footers import hand_on
from qibox.scoring.progress import Reporter
from qibox.scoring.shards import ShardWorker, Stages
from qibox.scoring.turns import ShardWork


class Host:
    """Does what messages ask for."""

    def __init__(self, link: Connection, stages: Stages, root: str) -> None:
        """Load what the stages work with."""
        self._link = link
        storage = Storage(root)
        tools = [stage.load() for stage in stages]
        self._reporter = Reporter(storage, [stage.name for stage in stages])
        self._worker = ShardWorker(stages, tools, self._reporter.accounts, storage)

    def answer(self, work: ShardWork | None) -> None:
        """Do a shard or, without one, wait until all stands; say what was noted of files."""
        try:
            if work is None:
                self._settle()
            else:
                self._worker.do(work)
        except QiboxError as error:
            self._link.send(("failed", error))
        except Exception:
            self._link.send(("failed", RuntimeError(traceback.format_exc())))
        else:
            self._link.send(("done", hand_on()))

    def _settle(self) -> None:
        self._worker.settle()
        self._reporter.write()


def serve(link: Connection, other: Connection, stages: Stages, root: str) -> NoReturn:
    """Serve until the other process, whose end of the link is ``other``, closes it or is gone.

    Dies where loading fails: the other process will load the same, and tell.
    """
    other.close()
    os.setsid()  # a terminal's Ctrl-C is for the other process to tell
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # whoever reads what the other says need not wait for this one
        os.dup2(nowhere, stream)
    gc.freeze()  # what the other had made stays, and is shared
    sys.meta_path.insert(0, Withheld("pandas"))  # nothing here gives Arrow any
    hand_on()  # what it had noted of files is its own
    inbox: SimpleQueue[ShardWork | None] = SimpleQueue()

    def listen() -> None:
        try:
            while True:
                inbox.put(link.recv())
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    host = Host(link, stages, root)
    while True:
        host.answer(inbox.get())
