"""A Dask cluster of real processes: what `qibox cluster local` starts, on a port of its own.

The machine seems to have one GPU, which the first worker gets.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import distributed
import psutil

from qibox.pipelines import kept

QIBOX = Path(sys.executable).parent / "qibox"
PATIENCE_S = 300.0  # a worker imports for seconds when it starts: minutes on a busy machine
HASTY = {"DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "1s"}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came to it"
        time.sleep(0.02)


@dataclass
class Cluster:
    """A scheduler and two workers, which may be killed and started again.

    Dask itself would give a worker up that takes a second to start again, as any does.
    """

    folder: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        tool = self.folder / "nvidia-smi"
        tool.write_text("#!/bin/sh\necho 'GPU 0: a test (UUID: GPU-0)'\n")
        tool.chmod(0o755)
        self.start()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def options(self) -> tuple[str, ...]:
        return ("--", "--runner=DaskRunner", f"--dask_client_address={self.address}")

    def start(self) -> None:
        started = subprocess.Popen(
            [QIBOX, "cluster", "local", "--workers", "2", "--port", str(self.port)],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", **HASTY},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert started.stdout is not None
        assert tuple(started.stdout.readline().split()) == self.options
        self.process = started

    def kill(self) -> None:
        """End scheduler and workers as a machine does that is switched off."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        _, alive = psutil.wait_procs(below, 30)
        assert not alive  # workers do not outlive who started them

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 128 + signal.SIGTERM

    @contextmanager
    def client(self) -> Iterator[distributed.Client]:
        with distributed.Client(self.address) as client:
            yield client

    def workers(self) -> dict[str, int]:
        """Process ids by address."""
        with self.client() as client:
            return dict(client.run(os.getpid, on_error="ignore"))  # one may be gone just now

    def kill_worker(self) -> None:
        """Kill one; another takes its place."""
        before = self.workers()
        os.kill(next(iter(before.values())), signal.SIGKILL)
        wait_until(lambda: len({*self.workers().values()} - {*before.values()}) == 1)

    def queued(self) -> int:
        """How many tasks workers were given and have not begun."""
        with self.client() as client:
            return sum(client.run(lambda dask_worker: len(dask_worker.state.ready)).values())

    def kill_engines(self) -> None:
        """Kill the processes in which workers run models, where one is loaded."""
        with self.client() as client:
            pids = client.run(lambda: [os.getpid() for held in kept._kept.values() if held._tools])
        for (pid,) in filter(None, pids.values()):
            for process in psutil.Process(pid).children(recursive=True):
                if "qibox.engines.process.child" in process.cmdline():
                    process.kill()


def shards_of(prompts: set[str], size: int) -> set[int]:
    """Which shards of so many samples these prompts are of."""
    return {int(found[1]) // size for p in prompts if (found := re.search(r"what is (\d+)", p))}
