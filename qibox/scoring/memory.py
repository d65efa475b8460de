"""What a process that runs waves asks of the memory allocator."""

import ctypes
import sys

M_ARENA_MAX = -8  # of <malloc.h>
ARENAS = 2  # waves work on so many threads at once as there are cores; more wait than work


def share_arenas() -> None:
    """Let all threads share :data:`ARENAS` arenas; where the allocator is not glibc's, do nothing.

    Beam works through a wave on dozens of threads. glibc gives each an arena of its own and keeps
    in it what the thread freed, so that a process grows with the number of threads it has had.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS)
