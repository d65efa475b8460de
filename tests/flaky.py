"""A storage that does not answer each time: local files behind the protocol ``flaky://``.

Arrow and Beam meet it as they meet an object store. :data:`TROUBLE` says what fails, and how often
for each path before it is answered.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileOpener, LocalFileSystem


@dataclass
class Trouble:
    """What fails: operations on paths that hold a word, so many times each."""

    times: int = 0
    operations: tuple[str, ...] = ("info", "ls", "open", "read", "put", "rm", "copy")
    word: str = ""
    error: type[Exception] = OSError
    message: str = "Forbidden: come back later"
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)

    def meet(self, operation: str, path: str) -> None:
        """Fail, or let it pass."""
        if operation in self.operations and self.word in path:
            self.seen[operation, path] += 1
            if self.seen[operation, path] <= self.times:
                raise self.error(self.message)


TROUBLE = [Trouble()]


@contextmanager
def trouble(times: int, **what: Any) -> Iterator[Trouble]:
    """Have the storage fail while the block runs."""
    TROUBLE.append(Trouble(times, **what))
    try:
        yield TROUBLE[-1]
    finally:
        TROUBLE.pop()


class _File(LocalFileOpener):
    def read(self, *size: int) -> bytes:
        TROUBLE[-1].meet("read", self.path)
        return super().read(*size)


class FlakyFileSystem(LocalFileSystem):
    """Local files by way of requests that may fail."""

    protocol = "flaky"
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return str(LocalFileSystem._strip_protocol(str(path).removeprefix("flaky://")))

    def info(self, path: Any, **more: Any) -> Any:
        if isinstance(path, str):
            TROUBLE[-1].meet("info", path)
        return super().info(path, **more)

    def ls(self, path: str, detail: bool = False, **more: Any) -> Any:
        TROUBLE[-1].meet("ls", path)
        return super().ls(path, detail, **more)

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **more: Any) -> Any:
        TROUBLE[-1].meet("open", path)
        return _File(path, mode, fs=self, **more) if mode == "rb" else super()._open(path, mode)

    def put_file(self, lpath: str, rpath: str, **more: Any) -> None:
        TROUBLE[-1].meet("put", rpath)
        self.makedirs(self._parent(rpath), exist_ok=True)
        super().put_file(lpath, rpath, **more)

    def cp_file(self, path1: str, path2: str, **more: Any) -> None:
        TROUBLE[-1].meet("copy", path1)
        super().cp_file(path1, path2, **more)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        TROUBLE[-1].meet("rm", str(path))
        super().rm(path, recursive, maxdepth)


fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
