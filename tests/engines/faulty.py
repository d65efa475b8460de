"""An engine that fails on command: what a prompt's text says is what it does."""

import os
import signal
import time
from pathlib import Path

import pyarrow as pa

from qibox.engines.completions import Completion, assemble
from qibox.manifests.sampling import Sampling


class Faulty:
    """Answers "text/k"; texts that begin with a fault's name make it happen.

    raise: an exception. die: SIGKILL to itself. hang: sleeps for an hour. die-once: dies unless
    the file ``scratch`` exists, which it leaves. broken: an error that poisons the process.
    More than ``fits`` prompts at once are out of memory.
    """

    def __init__(self, scratch: str, fits: int) -> None:
        self.scratch = Path(scratch)
        self.fits = fits

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        with (self.scratch / "calls").open("a") as log:
            log.write(f"{os.getpid()} {len(prompts)}\n")
        if len(prompts) > self.fits:
            raise MemoryError(f"{len(prompts)} prompts do not fit")
        rows = prompts.to_pylist()
        for row in rows:
            self._fail(row["text"])
        groups = [
            [Completion(f"{row['text']}/{k}", "stop", 1) for k in range(sampling.samples)]
            for row in rows
        ]
        return assemble([row["key"] for row in rows], groups)

    def _fail(self, text: str) -> None:
        fault = text.split()[0]
        if fault == "raise":
            raise ValueError("asked to")
        if fault == "broken":
            raise RuntimeError("CUDA error: device-side assert triggered")
        if fault == "die-once" and not (self.scratch / "died").exists():
            (self.scratch / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "exit":
            os._exit(3)
        if fault == "hang":
            time.sleep(3600)

    def close(self) -> None:
        (self.scratch / "closed").touch()


def build(scratch: str, fits: int = 1000) -> Faulty:
    return Faulty(scratch, fits)


def refuse() -> Faulty:
    raise ValueError("no such weights")


def die_at_start() -> Faulty:
    print("about to die", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError
