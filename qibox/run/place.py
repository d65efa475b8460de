"""Where a run may be made: a directory, or storage that keeps what is written.

Refused before any work, in one sentence with the path, why not, and what to give instead.
"""

import os
import stat
from pathlib import Path

from qibox.errors import UsageError
from qibox.run.storage import Storage

VANISHING = {"memory", "data"}  # nothing would be left, or nothing can be put there
READ_ONLY = {"http", "https", "github", "zip", "tar", "git", "reference"}


def check_place(out: str) -> Storage:
    """The storage of a run that is to be written.

    Raises:
        UsageError: a file, below a file, a device, or storage that keeps nothing.
    """
    protocol = out.partition("://")[0] if "://" in out else out.partition("::")[0]
    if protocol in VANISHING:
        raise UsageError(
            f"{out}: nothing would be left of a run there when the command ends: give a "
            "directory, or a URL such as s3://bucket/run",
            fields=["out"],
        )
    if protocol in READ_ONLY:
        raise UsageError(
            f"{out}: {protocol}:// can only be read: give a directory, or a URL such as "
            "s3://bucket/run",
            fields=["out"],
        )
    storage = Storage(out)
    if storage.is_local:
        _check_local(Path(storage.root), out)
    return storage


def _check_local(root: Path, out: str) -> None:
    for path in (root, *root.parents):
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            raise UsageError(
                f"{out} cannot be reached ({words}): give another directory", fields=["out"]
            ) from error
        if not stat.S_ISDIR(mode):
            kind = "a file" if stat.S_ISREG(mode) else "a device or a pipe"
            what = "is" if path == root else f"lies under {path}, which is"
            raise UsageError(
                f"{out} {what} {kind}, not a directory: give another one", fields=["out"]
            )
        _check_writable(path, out)
        return


def _check_writable(path: Path, out: str) -> None:
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(
            f"{out} cannot be written, {path} is read-only or not yours: give another "
            "directory, or make this one writable; what is there is kept",
            fields=["out"],
        )
