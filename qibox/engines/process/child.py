"""The child process that holds an engine: ``python -m qibox.engines.process.child DESCRIPTOR``.

Reads messages from the socket it inherits and answers them, one at a time; says now and then that
it makes progress. When the parent is gone it ends itself and whatever it started, even in the
middle of a batch.
"""

import importlib
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from qibox.engines.base import Engine
from qibox.engines.batching import Batcher, BrokenEngineError
from qibox.engines.completions import explain, failures
from qibox.engines.process import messages as wire
from qibox.errors import QiboxError
from qibox.manifests.sampling import Sampling

PROGRESS_EVERY = 1.0  # seconds between two signs of progress, at least


class Host:
    """Answers the parent's messages."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._engine: Engine | None = None
        self._batcher = Batcher(2**31)
        self._told = 0.0

    def answer(self, head: dict[str, Any], table: pa.Table | None) -> None:
        """Do what one message asks for, and say what came of it."""
        if head["do"] == "load":
            self._reply(lambda: self._load(head["factory"], head["arguments"]))
        elif head["do"] == "generate":
            assert table is not None
            sampling = Sampling.model_validate(head["sampling"])
            self._reply(lambda: self._generate(table, sampling))
        elif head["do"] == "close":
            self._reply(self._close)

    def _reply(self, work: Callable[[], pa.Table | None]) -> None:
        try:
            table = work()
        except BrokenEngineError as error:
            wire.send(self._link, {"is": "broken", "reason": str(error)})
        except QiboxError as error:
            wire.send(self._link, {"is": "refused", "reason": str(error)})
        except Exception as error:
            wire.send(self._link, {"is": "failed", "reason": explain(error)})
            sys.excepthook(*sys.exc_info())  # into this process's log
        else:
            wire.send(self._link, {"is": "done"}, table)

    def _load(self, factory: str, arguments: dict[str, Any]) -> None:
        module, name = factory.split(":")
        engine: Engine = getattr(importlib.import_module(module), name)(**arguments)
        if hasattr(engine, "progress"):
            engine.progress = self._progress
        self._engine, self._batcher = engine, Batcher(2**31)

    def _generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        engine, copies = self._engine, sampling.samples
        assert engine is not None
        keys = prompts["key"].to_pylist()

        def run(batch: Sequence[int]) -> list[pa.Table]:
            self._progress()
            table = engine.generate(prompts.slice(batch[0], len(batch)), sampling)
            assert len(table) == len(batch) * copies, (len(table), len(batch), copies)
            return [table.slice(i * copies, copies) for i in range(len(batch))]

        parts = self._batcher.map(
            range(len(prompts)), run, lambda i, reason: failures([keys[i]], copies, reason)
        )
        return pa.concat_tables(parts).combine_chunks() if parts else failures([], copies, "")

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _progress(self) -> None:
        if time.monotonic() - self._told >= PROGRESS_EVERY:
            self._told = time.monotonic()
            wire.send(self._link, {"is": "progress"})


def main() -> None:
    """Serve until the parent closes the socket."""
    link = socket.socket(fileno=int(sys.argv[1]))
    inbox: queue.SimpleQueue[tuple[dict[str, Any], pa.Table | None]] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while True:
                inbox.put(wire.receive(link))
        except wire.ClosedError:
            os.killpg(os.getpgrp(), signal.SIGKILL)  # this process leads its own group

    threading.Thread(target=listen, daemon=True).start()
    host = Host(link)
    while True:
        host.answer(*inbox.get())


if __name__ == "__main__":
    main()
