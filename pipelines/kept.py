"""What a process has loaded for a turn, kept between steps that a runner takes down early.

A worker process holds the tools of one turn at a time: those of an earlier one, whose end it was
not told (its driver was killed), are closed when another begins.
"""

import threading
from collections.abc import Callable
from typing import Protocol, TypeVar


class Closable(Protocol):
    """Something that is loaded once and closed in the end."""

    def close(self) -> None:
        """Close it, once nobody is at work with it."""
        ...


T = TypeVar("T", bound=Closable)

_kept: dict[str, Closable] = {}
_lock = threading.Lock()


def acquire(turn: str, make: Callable[[], T]) -> T:
    """What is kept for a turn, made now unless it is there."""
    with _lock:
        others = [_kept.pop(other) for other in list(_kept) if other != turn]
        found = _kept.get(turn)
        if found is None:
            found = _kept[turn] = make()
    for other in others:
        other.close()
    return found  # type: ignore[return-value]  # a turn's own


def close(turn: str) -> None:
    """Close what is kept for a turn, if anything is."""
    with _lock:
        found = _kept.pop(turn, None)
    if found is not None:
        found.close()
