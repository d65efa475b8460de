"""Who is told how far the work is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from qibox.run.storage import Storage
from qibox.scoring.turns import Turn

Advance = Callable[[int], None]  # rows done since the last call


class Watcher(Protocol):
    """Is told how far the work is; what it shows to a person is its own affair."""

    def reading(self) -> AbstractContextManager[Advance]:
        """The pool is being read: give back what to call with the rows of each batch."""
        ...

    def turn(self, storage: Storage, turn: Turn) -> AbstractContextManager[None]:
        """Its waves are at work while the context lasts; the storage tells the progress of each."""
        ...

    def remark(self, text: str) -> None:
        """One sentence worth knowing."""
        ...
