"""A storage that keeps nothing, so that a dry run goes the road of a real one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from qibox.run.storage import Storage


class Unwritten(Storage):
    """A storage that takes whatever is written and keeps none of it; for dry runs.

    Whoever writes, moves or removes passes through what is overridden here.
    """

    @contextmanager
    def writing(self, name: str, *, durable: bool = True, named: bool = True) -> Iterator[BinaryIO]:
        """Keep nothing."""
        with tempfile.NamedTemporaryFile() as file:
            yield cast(BinaryIO, file)

    def move(self, name: str, target: str) -> None:
        """Move nothing."""

    def remove(self, name: str) -> None:
        """Remove nothing."""
