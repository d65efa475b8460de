"""A file on a local disk on its way to its final name: whole there, or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class NewFile:
    """An open file with all its content, still under a temporary name."""

    file: BinaryIO
    temporary: Path
    path: Path
    durable: bool  # whether it is to outlive a power cut
    named: bool  # whether its name is, too: else a power cut may leave no file, never half one

    def stand(self) -> None:
        """Give it its final name.

        Raises:
            OSError: the disk failed; nothing is left of the file.
        """
        try:
            self.sync()
            self.name()
        except BaseException:
            self.discard()
            raise

    def sync(self) -> None:
        """Have its content on the disk, where it is to outlive a power cut, and close it.

        Raises:
            OSError: the disk failed.
        """
        with naming(self.path), self.file:
            if self.durable:
                os.fsync(self.file.fileno())

    def name(self) -> None:
        """Put what is on the disk under its final name.

        Raises:
            OSError: the disk failed.
        """
        with naming(self.path):
            self.temporary.replace(self.path)
        if self.durable and self.named:
            _sync_directory(self.path.parent)

    def discard(self) -> None:
        """Leave nothing of it."""
        self.file.close()
        self.temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say in an error of the disk which file it is about."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            # Writing to an open file does not name it, and Arrow has words of its own.
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
