"""GPUs of its own for each worker process of a machine, where nothing else gives it any.

A pool of Beam workers starts several processes on a machine, and all of them see all its GPUs.
Where QIBOX_GPUS_PER_WORKER is in their environment, each takes so many that no other has, and sees
no others. The kernel's lock on a file a GPU says who has it, so what was taken is free again when
its process ends, however that ends.
"""

import fcntl
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from qibox.errors import QiboxError, UsageError

VARIABLE = "QIBOX_GPUS_PER_WORKER"

_taken: list[BinaryIO] = []  # open and locked while this process lives


def take_own(seen: Callable[[], Sequence[str]]) -> None:
    """Take GPUs for this process, once; nothing where it is not asked for, or there are none.

    ``seen`` tells those that it sees, as CUDA_VISIBLE_DEVICES names them; then it sees its own.

    Raises:
        UsageError: the environment asks for no number.
        QiboxError: other workers have too many of them.
    """
    text = os.environ.get(VARIABLE)
    if text is None or _taken:
        return
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{VARIABLE}={text} is no number of GPUs: give 1 or more")
    wanted, visible = int(text), seen()
    if not visible:
        return
    folder = Path(tempfile.gettempdir(), f"qibox-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / ".taking").open("wb") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # of two that want two each, neither gets one
        found = {name: file for name in visible if (file := _locked(folder / quote(name, "")))}
        for name in list(found)[wanted:] if len(found) >= wanted else list(found):
            found.pop(name).close()
    if not found:
        raise QiboxError(
            f"a worker of this machine wants {VARIABLE}={wanted}, and other workers have "
            f"too many of its {len(visible)} GPUs: start fewer workers there"
        )
    _taken.extend(found.values())
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(found)


def _locked(path: Path) -> BinaryIO | None:
    """The file, open and locked; None if another process has it."""
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
