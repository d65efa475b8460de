"""A storage that does not answer, or refuses, is asked again; its silence is no damaged file.

An object store drops connections, asks to be slower and loses credentials for a moment; a network
disk times out. What may pass is tried some times more, with growing waits. What does not pass is
one sentence that says so: nothing is taken for damaged, absent or empty because of it.
"""

import errno
import io
import random
import time
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, TypeVar

import fsspec
import pyarrow as pa
import pyarrow.fs

from qibox.errors import QiboxError
from qibox.run.readable import ReadableFile
from qibox.trouble import is_of_client

R = TypeVar("R")

WAITS = (0.5, 1.0, 2.0, 4.0)  # seconds before each further attempt, at most; our choice
ANSWERS = (FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError)
PASSING = {
    errno.EAGAIN, errno.EBUSY, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNABORTED,
    errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ESTALE,
}  # fmt: skip


def patiently(work: Callable[[], R], where: str, *, remote: bool) -> R:
    """What ``work`` returns, tried again while its error may pass.

    Raises:
        QiboxError: a remote storage still does not answer, or still refuses.
        OSError: what a disk says, or what a storage answers (there is no such file).
    """
    for wait in WAITS:
        try:
            return work()
        except Exception as error:
            if not _may_pass(error, remote):
                raise
            time.sleep(random.uniform(wait / 2, wait))  # of many readers not all at once
    try:
        return work()
    except Exception as error:
        if remote and _may_pass(error, remote):
            raise _silent(error, where) from error
        raise


def _may_pass(error: Exception, remote: bool) -> bool:
    """Whether the same request may be answered later; of a remote storage all but an answer."""
    if isinstance(error, (QiboxError, *ANSWERS)):
        return False
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if isinstance(error, OSError) and not remote:
        return error.errno in PASSING
    return remote and (isinstance(error, OSError) or is_of_client(error))


def _silent(error: Exception, where: str) -> QiboxError:
    words = " ".join(str(error).split())[:300] or type(error).__name__
    return QiboxError(
        f"{where}: the storage does not answer as it should, asked {len(WAITS) + 1} times "
        f"({words}): what was finished is kept, and the same command goes on once it does"
    )


class PatientFile(ReadableFile):
    """A remote file to read from; a read that fails or comes back short is asked again."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._where = where
        super().__init__(file, self._patiently(lambda: file.seek(0, io.SEEK_END)))

    def _patiently(self, work: Callable[[], R]) -> R:
        return patiently(work, self._where, remote=True)

    def _read(self, start: int, count: int) -> bytes:
        return self._patiently(lambda: self._whole(start, count))

    def _whole(self, start: int, count: int) -> bytes:
        self._file.seek(start)
        content = self._file.read(count)
        if len(content) < count:
            raise ConnectionError(f"{len(content)} of {count} bytes came")
        return content


class PatientHandler(pyarrow.fs.FSSpecHandler):  # type: ignore[misc]  # pyarrow is untyped
    """What Arrow reads a remote storage's files through."""

    def open_input_file(self, path: str) -> pa.PythonFile:
        """A file to read at any place."""
        file = patiently(lambda: self.fs.open(path, "rb"), path, remote=True)
        return pa.PythonFile(PatientFile(file, path), mode="r")

    def open_input_stream(self, path: str) -> pa.PythonFile:
        """A file to read from its start."""
        return self.open_input_file(path)


def is_there(fs: fsspec.AbstractFileSystem, path: str, *, remote: bool) -> bool:
    """Whether a file or directory stands there; fsspec's own word is no where a store is silent."""
    try:
        patiently(lambda: fs.info(path), path, remote=remote)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def find_files(fs: fsspec.AbstractFileSystem, base: str, *, remote: bool) -> list[str]:
    """Paths of all files under a folder; fsspec's own walk leaves out what it may not list."""
    if _lists_flat(fs):
        return [str(name) for name in patiently(lambda: fs.find(base), base, remote=remote)]
    found: list[str] = []
    folders = [base]
    while folders:
        folder = folders.pop()
        try:
            listed = patiently(partial(fs.ls, folder, detail=True), folder, remote=remote)
        except FileNotFoundError:
            continue  # removed meanwhile
        for entry in listed:
            name = str(entry["name"]).rstrip("/")
            if entry["type"] == "directory" and name != folder.rstrip("/"):
                folders.append(name)
            elif entry["type"] != "directory":
                found.append(name)
    return found


def _lists_flat(fs: fsspec.AbstractFileSystem) -> bool:
    """Whether a store lists by prefix, in a way of its own that tells of errors."""
    if not fs.async_impl:
        return type(fs).find is not fsspec.AbstractFileSystem.find
    from fsspec.asyn import AsyncFileSystem

    return type(fs)._find is not AsyncFileSystem._find
