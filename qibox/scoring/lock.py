"""One process at a time writes a run; the second is told who holds it.

On a local disk the lock is the kernel's (flock on RUN/.lock), so it ends with its process, however
that ends. An object store has no locks: there the file is a lease that its holder renews. One that
was not renewed for a while is free, and at once if a process of this machine held it that is gone.
Should two processes hold a run all the same, units stay whole: both write the same bytes.
"""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import psutil

from qibox.errors import QiboxError
from qibox.run.storage import Storage

NAME = ".lock"
RENEW_S = 30.0  # how often a lease is renewed
EXPIRY_S = 90.0  # after which an unrenewed lease is free
ENDING_S = 10.0  # how long is waited for what a process that is gone had forked


@contextmanager
def locked(storage: Storage, file: str = NAME, what: str | None = None) -> Iterator[None]:
    """Hold a run while the block runs, or ``what`` of it, by a lock of its own.

    Raises:
        QiboxError: another process holds it; the message says which.
    """
    if storage.is_local:
        with _flock(storage, file, what or storage.url):
            yield
    else:
        with _lease(storage, file, what or storage.url):
            yield


def holder(storage: Storage) -> str | None:
    """Who holds a run right now, in words; None if nobody does."""
    if not storage.is_local:
        text = (storage.text_if_there(NAME) or "").encode()
        return _words(text) if _is_fresh(text) else None
    if not storage.exists(NAME):
        return None
    with Path(storage.path(NAME)).open("rb") as file:
        return None if _try(file, fcntl.LOCK_SH) else _words(file.read())


@contextmanager
def _flock(storage: Storage, name: str, what: str) -> Iterator[None]:
    path = Path(storage.path(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        last = time.monotonic() + ENDING_S
        while not _try(file, fcntl.LOCK_EX, keep=True):
            file.seek(0)
            text = file.read()
            if not _is_gone(text) or time.monotonic() > last:
                raise _held(storage, what, _words(text))
            time.sleep(0.02)  # processes beside a killed one end by themselves
        file.truncate(0)
        file.write(_me(time.time()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


@contextmanager
def _lease(storage: Storage, name: str, what: str) -> Iterator[None]:
    text = (storage.text_if_there(name) or "").encode()
    if _is_fresh(text):
        raise _held(storage, what, _words(text))
    started = time.time()
    storage.write_text(name, _me(started).decode())
    end = threading.Event()

    def renew() -> None:
        while not end.wait(RENEW_S):
            with suppress(OSError, QiboxError):  # a silent storage: the next time may do
                storage.write_text(name, _me(started).decode())

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
        storage.remove_file(name)


def _try(file: BinaryIO, how: int, *, keep: bool = False) -> bool:
    """Whether the lock is free; it is kept only if asked for."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if not keep:
        fcntl.flock(file, fcntl.LOCK_UN)
    return True


def _me(started: float) -> bytes:
    who = {"pid": os.getpid(), "host": socket.gethostname(), "renewed": time.time()}
    since = datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return json.dumps({**who, "since": since}).encode()


def _is_fresh(text: bytes) -> bool:
    try:
        return bool(time.time() - json.loads(text)["renewed"] < EXPIRY_S) and not _is_gone(text)
    except (ValueError, TypeError, KeyError):
        return False


def _is_gone(text: bytes) -> bool:
    """Whether a process of this machine holds it that is no more."""
    try:
        who = json.loads(text)
        here = who["host"] == socket.gethostname()
        return bool(here and not psutil.pid_exists(int(who["pid"])))
    except (ValueError, TypeError, KeyError):
        return False


def _words(text: bytes) -> str:
    try:
        who = json.loads(text)
        return f"process {who['pid']} on {who['host']}, since {who['since']}"
    except (ValueError, KeyError):
        return "a process that has not said its name yet"


def _held(storage: Storage, what: str, who: str) -> QiboxError:
    return QiboxError(
        f"{what} is being written by {who}: wait for it (`qibox status {storage.url}` shows "
        "how far it is) or stop it"
    )
