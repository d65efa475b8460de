"""What storage, Arrow and DuckDB raise, as one sentence for a person: the one place that words it.

What is no trouble of a disk, a place or a file is a bug, and keeps its traceback.
"""

import errno
import re
import sys
import tempfile

import pyarrow as pa

from qibox.errors import DamagedFileError, QiboxError, UsageError, command

CLIENTS = {"fsspec", "aiohttp", "botocore", "gcsfs", "s3fs", "adlfs", "azure", "requests"}
KEPT = "what was finished is kept, and the same command goes on from there"

_DAMAGED = re.compile(r"DamagedFileError: (.+?)(?:\. Detail: |\n|$)")
# As torch, safetensors and other libraries pass an operating system's words on.
_FULL = re.compile(
    r"No space left on device|os error 28|PytorchStreamWriter failed writing"
    r"|inline_container\.cc.*unexpected pos"
)
_IN_A_FILE = re.compile(r"(?:Could not open Parquet|reading the stream|exporting a stream)")

# What of an error number a person can do something about.
_PLACES = {
    errno.ENOSPC: f"there is no space left: free some; {KEPT}",
    errno.EDQUOT: f"the quota is used up: free some space; {KEPT}",
    errno.EFBIG: f"the file system allows no file of that size: {KEPT}",
    errno.EROFS: "the file system is read-only: give a place that can be written",
    errno.EACCES: "permission is denied: give a place that you may write and read",
    errno.EPERM: "the operation is not permitted (is it immutable?): give another place",
    errno.EISDIR: "a directory stands where a file belongs: move it away",
    errno.ENOTDIR: "a part of the path is a file, not a directory: give another place",
    errno.EEXIST: "a file stands where a directory belongs: move it away, or give another place",
    errno.ENAMETOOLONG: "the name is too long: give a shorter one",
    errno.ELOOP: "its links lead round in a circle: mend them, or give another place",
    errno.ENOENT: "it is not there (any more): was it moved or removed meanwhile?",
    errno.EIO: f"the disk failed to read or write it: {KEPT} on a sound disk",
    errno.ENXIO: "it is a device or a pipe that nothing answers: move it away",
    errno.EMFILE: f"too many files are open: raise `ulimit -n`; {KEPT}",
}


def told(error: BaseException) -> QiboxError | None:
    """The sentence for an error, None for a bug."""
    if isinstance(error, QiboxError):
        return error
    if (damage := _damage(str(error))) is not None:
        return damage
    if isinstance(error, OSError) and type(error).__module__ in ("builtins", "shutil"):
        return _of_place(error)
    if _is_of_query(error):
        return _of_query(error)
    if _FULL.search(str(error)):
        place = tempfile.gettempdir()
        return QiboxError(
            f"there is no space left for a library's files, most likely in {place} (TMPDIR): free "
            f"some, or give another; {KEPT}"
        )
    elsewhere = is_of_client(error) or isinstance(error, pa.ArrowException)
    if isinstance(error, OSError) or elsewhere:  # of a library that reaches elsewhere
        words = " ".join(str(error).split())[:300] or type(error).__name__
        return QiboxError(f"the storage does not answer as it should: {words}; {KEPT}")
    return None


def query_trouble(error: Exception) -> QiboxError:
    """What DuckDB or Arrow said of a query, as one line without the excerpt of the query."""
    return _damage(str(error)) or _of_query(error)


def _is_of_query(error: BaseException) -> bool:
    duckdb = sys.modules.get("duckdb")  # without it none of its errors can have come
    return duckdb is not None and isinstance(error, duckdb.Error)


def _of_query(error: BaseException) -> QiboxError:
    text = " ".join(str(error).split("\n\nLINE ")[0].split())
    if _IN_A_FILE.search(text):
        return DamagedFileError(
            f"a file of the run cannot be read ({text}): {command('status', 'RUN', verify=True)} "
            "names it and the command that mends it"
        )
    return UsageError(text)


def _damage(text: str) -> DamagedFileError | None:
    found = _DAMAGED.search(text)
    return DamagedFileError(found[1]) if found else None


def _of_place(error: OSError) -> QiboxError | None:
    code = error.errno
    if isinstance(error, TimeoutError | ConnectionError):
        words = " ".join(str(error).split()) or "no answer"
        return QiboxError(f"the storage does not answer ({words}): {KEPT} once it does")
    if code is None:
        return _of_arrow(error)
    path = error.filename2 or error.filename
    where = str(path) if path else "standard output"  # whatever else is written has its name
    says = _PLACES.get(code)
    if says is None:
        says = f"{(error.strerror or str(error)).lower()}: {KEPT}"
    return QiboxError(f"{where} cannot be used: {says}")


def _of_arrow(error: OSError) -> QiboxError | None:
    """An OSError without a number is Arrow's or a library's own."""
    words = " ".join(str(error).split())[:300]
    return QiboxError(f"{words}: {KEPT}") if words else None


def is_of_client(error: BaseException) -> bool:
    """Whether it is an error of a library that reaches a storage elsewhere, known by its name."""
    return type(error).__module__.split(".")[0] in CLIENTS
