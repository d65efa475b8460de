"""A file to read from whose bytes come by way of something: checked, or asked for again."""

import io
import os
from abc import abstractmethod
from typing import BinaryIO


class ReadableFile(io.RawIOBase):
    """A place in a file of a known size; who inherits says how the bytes at a place are had."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """``size`` is the file's, in bytes."""
        self._file = file
        self._at = 0
        self.size = size

    @abstractmethod
    def _read(self, start: int, count: int) -> bytes:
        """Bytes that lie in the file."""

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes, fewer at the end; all that are left without a number."""
        left = max(0, self.size - self._at)
        count = left if size is None or size < 0 else min(size, left)
        content = self._read(self._at, count) if count else b""
        self._at += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a byte."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Close the file beneath as well."""
        if not self.closed:
            self._file.close()
        super().close()
