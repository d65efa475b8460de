"""The shards of a turn that is worked off on this machine: whoever is free takes the next one.

What a pipeline is given becomes part of its description, of which its runner makes one copy after
the other: 60 MB for the 1,600 shards of 1.6 million samples, and three seconds. And who is given
shards beforehand waits for the slowest in the end.
"""

import threading
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from qibox.scoring.turns import ShardWork


class Board:
    """Shards that nobody has taken; any number of threads may take them.

    One that is ``open`` waits for more while it is empty.
    """

    def __init__(self, shards: Sequence[ShardWork] = (), *, is_open: bool = False) -> None:
        self.name = uuid.uuid4().hex
        self._left = deque(shards)
        self._open = is_open
        self._taken: set[tuple[str, int]] = set()  # shards, by where their tables lie
        self._change = threading.Condition()

    @property
    def is_empty(self) -> bool:
        """Whether all were taken."""
        return not self._left

    def taken(self) -> Iterator[ShardWork]:
        """One after the other that nobody has taken, in their order, until none is left."""
        while (work := self._next()) is not None:
            yield work

    def _next(self) -> ShardWork | None:
        with self._change:
            self._change.wait_for(lambda: self._left or not self._open)
            if not self._left:
                return None
            work = self._left.popleft()
            self._taken.add(_place(work))
            return work

    def post(self, work: ShardWork) -> None:
        """Have one more taken."""
        with self._change:
            self._left.append(work)
            self._change.notify()

    def complete(self, shards: Sequence[ShardWork]) -> None:
        """Have these taken, but for those that were, and wait for no more."""
        with self._change:
            self._left = deque(work for work in shards if _place(work) not in self._taken)
            self._open = False
            self._change.notify_all()

    def put_back(self, shards: Sequence[ShardWork]) -> None:
        """Have shards taken by others that whoever took them may not have done."""
        with self._change:
            self._taken -= {_place(work) for work in shards}
            self._left.extendleft(reversed(shards))

    def clear(self) -> None:
        """Have no more taken."""
        self.complete(())


def _place(work: ShardWork) -> tuple[str, int]:
    (_, (unit, *_)), *_ = work
    return unit.home, unit.shard


_boards: dict[str, Board] = {}


@contextmanager
def posted(board: Board) -> Iterator[Board]:
    """Inside the block, let threads of this process find a board by its name."""
    _boards[board.name] = board
    try:
        yield board
    finally:
        del _boards[board.name]


def board_of(name: str) -> Board:
    """The board of that name."""
    return _boards[name]
