"""A storage that does not answer, or refuses, is asked again; its silence is no damaged file.

An object store drops connections, asks to be slower and loses credentials for a moment; a network
disk times out. What may pass is tried some times more, with growing waits. What does not pass is
one sentence that says so: nothing is taken for damaged, absent or empty because of it.
"""

import errno
import io
import os
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO, TypeVar, cast

import fsspec
import pyarrow as pa
import pyarrow.fs

from qibox.errors import QiboxError
from qibox.run.readable import ReadableFile
from qibox.run.seal import TAIL, sealed_size
from qibox.trouble import is_of_client

R = TypeVar("R")

WAITS = (0.5, 1.0, 2.0, 4.0)  # seconds before each further attempt, at most; our choice
ANSWERS = (FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError)
FLAT = {"s3", "s3a", "gs", "gcs"}
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
    """A remote file to read from; a read that fails or comes back short is asked again.

    Its end is read first, which for a small table is all there is to ask: a seal tells how large
    the file is. Of other files the storage is asked it.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, path: str) -> None:
        """Read the end.

        Raises:
            FileNotFoundError: there is no such file.
        """
        self._fs, self._where = fs, path
        self._end, size = self._patiently(self._read_end)
        self._whole_is_open = False
        super().__init__(io.BytesIO(), size)  # until more is wanted than the end

    def _patiently(self, work: Callable[[], R]) -> R:
        return patiently(work, self._where, remote=True)

    def _read_end(self) -> tuple[bytes, int]:
        try:
            end = bytes(self._fs.cat_file(self._where, start=-TAIL))
        except FileNotFoundError:
            raise
        except (OSError, ValueError):
            if self._fs.info(self._where)["size"]:
                raise
            return b"", 0  # of an empty file no part can be asked for
        if (size := sealed_size(end)) is not None:
            return end, size
        size = int(self._fs.info(self._where)["size"])
        if len(end) < min(size, TAIL):
            raise ConnectionError(f"{len(end)} of {min(size, TAIL)} bytes came")
        return end, size

    def _read(self, start: int, count: int) -> bytes:
        if (at := start - (self.size - len(self._end))) >= 0:
            return self._end[at : at + count]
        return self._patiently(lambda: self._whole(start, count))

    def _whole(self, start: int, count: int) -> bytes:
        if not self._whole_is_open:
            file = self._fs.open(self._where, "rb", size=self.size)
            # s3fs would ask for it all the same at the first read.
            file.details = {"size": self.size, "name": self._where, "type": "file"}
            self._file, self._whole_is_open = cast(BinaryIO, file), True
        self._file.seek(start)
        content = self._file.read(count)
        if len(content) < count:
            raise ConnectionError(f"{len(content)} of {count} bytes came")
        return content


class PatientHandler(pyarrow.fs.FSSpecHandler):  # type: ignore[misc]  # pyarrow is untyped
    """What Arrow reads a remote storage's files through."""

    def open_input_file(self, path: str) -> pa.PythonFile:
        """A file to read at any place."""
        return pa.PythonFile(PatientFile(self.fs, path), mode="r")

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


def local_files(base: str) -> list[str]:
    """All files under a folder of this machine, by path; `fsspec` would tell each one's state too.

    Raises:
        OSError: what may not be listed.
    """
    files, folders = [], [base]
    while folders:
        folder = folders.pop()
        try:
            entries = patiently(partial(_entries, folder), folder, remote=False)
        except FileNotFoundError:
            continue  # removed meanwhile, or never there
        except NotADirectoryError:
            files.append(folder)
            continue
        for path, is_folder in entries:
            (folders if is_folder else files).append(path)
    return files


def _entries(folder: str) -> list[tuple[str, bool]]:
    with os.scandir(folder) as entries:
        return [(entry.path, entry.is_dir()) for entry in entries]


def find_files(fs: fsspec.AbstractFileSystem, base: str) -> dict[str, dict[str, Any]]:
    """All files under a folder of a remote storage, by path, with what it tells of each.

    fsspec's own walk leaves out what it may not list.
    """
    above, _, folder = base.rstrip("/").rpartition("/")
    if above and has_no_folders(fs):  # by prefix: else what has no files is looked for as a file
        under = partial(fs.find, above, prefix=f"{folder}/", detail=True)
        return {str(name): entry for name, entry in patiently(under, base, remote=True).items()}
    if _lists_flat(fs):
        found = patiently(lambda: fs.find(base, detail=True), base, remote=True)
        return {str(name): entry for name, entry in found.items()}
    files: dict[str, dict[str, Any]] = {}
    folders = [base]
    while folders:
        folder = folders.pop()
        try:
            listed = patiently(partial(fs.ls, folder, detail=True), folder, remote=True)
        except FileNotFoundError:
            continue  # removed meanwhile, or never there
        for entry in listed:
            name = str(entry["name"]).rstrip("/")
            if entry["type"] == "directory" and name != folder.rstrip("/"):
                folders.append(name)
            elif entry["type"] != "directory":
                files[name] = entry
    return files


def has_no_folders(fs: fsspec.AbstractFileSystem) -> bool:
    """Whether there are only names: no folder is made or left, and what is not there is removed."""
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return not FLAT.isdisjoint(protocols)


def _lists_flat(fs: fsspec.AbstractFileSystem) -> bool:
    """Whether a store lists by prefix, in a way of its own that tells of errors."""
    if not fs.async_impl:
        return type(fs).find is not fsspec.AbstractFileSystem.find
    from fsspec.asyn import AsyncFileSystem

    return type(fs)._find is not AsyncFileSystem._find
