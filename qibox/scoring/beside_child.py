"""The process beside: ``python -m qibox.scoring.beside_child DESCRIPTOR``.

Reads messages from the socket it inherits and answers them, one at a time. When the other process
is gone it ends itself, even in the middle of a shard: files are whole or absent.
"""

import gc
import os
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import pyarrow as pa

import qibox.engines.load
import qibox.engines.replay
import qibox.judges.load  # noqa: F401 - what is imported now need not be when it is wanted
from qibox.errors import QiboxError
from qibox.hashing import row_hashes
from qibox.run.storage import Storage
from qibox.scoring.footers import hand_on
from qibox.scoring.memory import share_arenas
from qibox.scoring.progress import Reporter
from qibox.scoring.shards import ShardWorker, Stages


class Host:
    """Answers messages."""

    def __init__(self, link: Connection) -> None:
        self._link = link
        self._worker: ShardWorker | None = None
        self._reporter: Reporter | None = None

    def answer(self, what: str, *given: Any) -> None:
        """Do what one message asks for, and say what came of it."""
        if what == "begin":  # dies where that fails: the other has loaded the same, and goes on
            self._begin(*given)
            return
        assert self._worker is not None
        try:
            answer = self._worker.do(*given) if what == "do" else self._settle()
        except QiboxError as error:
            self._link.send(("failed", error))
        except Exception:
            self._link.send(("failed", RuntimeError(traceback.format_exc())))
        else:
            self._link.send(("done", answer))

    def _begin(self, stages: Stages, root: str) -> None:
        if self._reporter is not None:
            self._reporter.close()
        storage = Storage(root)
        self._reporter = Reporter(storage, [stage.name for stage in stages])
        tools = [stage.load() for stage in stages]
        self._worker = ShardWorker(stages, tools, self._reporter.accounts, storage)

    def _settle(self) -> object:
        assert self._worker is not None
        assert self._reporter is not None
        self._worker.settle()
        self._reporter.write()
        return hand_on()


def main() -> None:
    """Serve until the other process closes the socket."""
    link = Connection(int(sys.argv[1]))
    inbox: SimpleQueue[tuple[Any, ...]] = SimpleQueue()

    def listen() -> None:
        try:
            while True:
                inbox.put(link.recv())
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    row_hashes(pa.table({"imports": ["DuckDB"]}))
    gc.freeze()
    share_arenas()
    host = Host(link)
    while True:
        host.answer(*inbox.get())


if __name__ == "__main__":
    main()
