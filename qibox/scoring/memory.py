"""What a process that runs waves asks of those who hand out memory."""

import ctypes
import sys

import pyarrow as pa

M_ARENA_MAX = -8  # of <malloc.h>
ARENAS = 2  # waves work on so many threads at once as there are cores; more wait than work


def share_arenas() -> None:
    """Let all threads share :data:`ARENAS` arenas; where the allocator is not glibc's, do nothing.

    Beam works through a wave on dozens of threads. glibc gives each an arena of its own and keeps
    in it what the thread freed, so that a process grows with the number of threads it has had.
    """
    _call("mallopt", M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Give what is free back to the system: after a large piece of work it would stay for good."""
    pa.default_memory_pool().release_unused()
    _call("malloc_trim", 0)


def _call(name: str, *given: int) -> None:
    """Call one of glibc's own functions."""
    if sys.platform == "linux":
        found = getattr(ctypes.CDLL(None), name, None)  # musl has none
        if found is not None:
            found(*given)
