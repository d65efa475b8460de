"""Run work in batches that survive memory that runs out and items that fail.

Out of memory: the batch is halved, and stays halved. Any other error: the batch is divided until
the failing items stand alone, so that each costs its own rows only. An error that leaves the
process unusable is passed on.
"""

import gc
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from qibox.engines.completions import explain

T = TypeVar("T")
R = TypeVar("R")

_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "cublas_status_alloc_failed",
)
_UNUSABLE = ("cuda error", "device-side assert", "nccl error")


class BrokenEngineError(Exception):
    """The engine's process cannot go on; starting it anew may help."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, of the host or a GPU, ran out."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if "OutOfMemoryError" in names or isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error).lower() for s in _NO_MEMORY)


def is_broken(error: BaseException) -> bool:
    """Whether an error leaves the process unusable for any further batch."""
    if isinstance(error, BrokenEngineError) or type(error).__name__ == "EngineDeadError":
        return True
    return isinstance(error, RuntimeError) and any(s in str(error).lower() for s in _UNUSABLE)


class Batcher:
    """Feeds items to a function in batches of at most ``size``, which shrinks where it must."""

    def __init__(self, size: int, fatal: tuple[type[Exception], ...] = ()) -> None:
        """``fatal`` errors concern all items and are passed on as they are."""
        assert size >= 1, size
        self.size = size
        self._fatal = fatal

    def map(
        self,
        items: Sequence[T],
        run: Callable[[Sequence[T]], Sequence[R]],
        failed: Callable[[T, str], R],
    ) -> Sequence[R]:
        """One result for each item, in order: ``run``'s, or ``failed`` with the reason.

        Where ``run`` gives all in one go, what it gave comes back as it is.

        Raises:
            BrokenEngineError: the process cannot go on.
        """
        results: list[R] = []
        start = 0
        while start < len(items):
            batch = items[start : start + self.size]
            error = None
            try:
                done = run(batch)
                assert len(done) == len(batch)
            except self._fatal:
                raise
            except Exception as caught:
                # Kept past this block without its frames, which hold the batch's memory.
                error = caught.with_traceback(None)
            if error is None:
                if len(batch) == len(items):
                    return done
                results.extend(done)
            elif is_out_of_memory(error) and len(batch) > 1:  # some say "CUDA error" too
                _free()
                self.size = max(1, len(batch) // 2)
                continue
            elif is_broken(error):
                broken = isinstance(error, BrokenEngineError)
                raise error if broken else BrokenEngineError(explain(error)) from error
            elif len(batch) > 1:
                half = len(batch) // 2
                results.extend(self.map(batch[:half], run, failed))
                results.extend(self.map(batch[half:], run, failed))
            else:
                _free()
                results.append(failed(batch[0], explain(error)))
            start += len(batch)
        return results


def _free() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
