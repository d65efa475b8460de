"""Ctrl-C, SIGTERM and SIGHUP: all that is at work ends itself, soon, and what it holds is let go.

The main thread is given a :class:`Stop`, unless it is inside a library that must not be left
midway (:func:`held`). Threads ask :func:`check` between two pieces of work. What only waits, for a
child process, a query or a reply, is ended by what :func:`on_stop` was given. A thread of its own
hears the signals, since the main one may be inside a library for minutes; it ends the process at
once at a second signal, and where the first has not ended it within ``GRACE_S``.

The command line hears signals (:func:`hearing`); as a library nothing of this is ever asked.
"""

import atexit
import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from qibox.errors import QiboxError

QUIET = "QIBOX_QUIET"  # in the environment of processes of ours whose starter tells of a stop
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN = signal.SIGURG  # to our own main thread alone: it lost the first; others ignore it
GRACE_S = 8.0  # for all to end by itself
REPEAT_S = 0.2  # between two times that waiting things are told
DROPPED_S = 1.0  # for which the main thread goes on as if unstruck: then its Stop was dropped
SAME_S = 0.2  # within which a second signal is the first one's echo: `timeout` sends two

_heard: int | None = None  # the first signal's number
_struck = False  # whether the main thread was told of it
_held = 0  # how many blocks deep no signal may strike the main thread
_lost = False  # whether a Stop was raised where Python drops exceptions, or could not be raised
_waiting: list[Callable[[], object]] = []
_working = 0  # threads inside at_work()
_change = threading.Condition()


class Stop(KeyboardInterrupt):
    """A signal asked this process to end; raised in the main thread, once."""


class StoppedError(QiboxError):
    """A piece of work was not begun, or not ended, because the process is asked to end."""


def asked() -> bool:
    """Whether a signal asked this process to end."""
    return _heard is not None


def name() -> str:
    """What asked, in a person's words."""
    return "Ctrl-C" if _heard in (None, signal.SIGINT) else signal.Signals(_heard).name


def exit_status() -> int:
    """The exit status of a process that a signal ended, as shells give it: 130 for Ctrl-C."""
    return 128 + (_heard or signal.SIGINT)


def check() -> None:
    """Between two pieces of work: go on only where nobody asked to stop.

    Raises:
        StoppedError: somebody did.
    """
    if asked():
        raise StoppedError(f"stopped by {name()}")


@contextmanager
def on_stop(end: Callable[[], object]) -> Iterator[None]:
    """Call ``end`` when the process is asked to stop inside the block, again and again.

    It is called from another thread and must not wait; what it raises is dropped.

    Raises:
        StoppedError: it was asked before.
    """
    _waiting.append(end)
    try:
        check()
        yield
    finally:
        _waiting.remove(end)


@contextmanager
def at_work() -> Iterator[None]:
    """A piece of work in a thread that :func:`held` waits for.

    Raises:
        StoppedError: the process is asked to stop; the work is not begun.
    """
    global _working
    check()
    with _change:
        _working += 1
    try:
        yield
    finally:
        with _change:
            _working -= 1
            _change.notify_all()


@contextmanager
def held() -> Iterator[None]:
    """Let no signal strike the main thread inside the block; who works in it asks :func:`check`.

    Raises:
        Stop: a signal came; all threads that were at work have ended it.
    """
    global _held
    _held += 1
    try:
        yield
    except BaseException:
        if not asked():
            raise
    finally:
        _held -= 1
    if asked():
        with _change:
            _change.wait_for(lambda: not _working)
        raise Stop


@contextmanager
def hearing() -> Iterator[None]:
    """Hear signals while the block runs, in a process's main thread; then they end it quietly.

    A signal that is ignored when the process starts (``nohup``) stays so.
    """
    global _struck
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [s for s in SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=_listen, args=(reader,), name="signals", daemon=True).start()
    _forget_in_forks()
    hooks = sys.unraisablehook, threading.excepthook
    sys.unraisablehook, threading.excepthook = _quieter(hooks[0]), _quieter(hooks[1])
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(AGAIN, _strike_again)
    for number in ours:
        signal.signal(number, _strike)
    try:
        yield
    finally:
        _struck = False
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        if not asked():  # else the listener still sees to it that the process ends
            sys.unraisablehook, threading.excepthook = hooks
            os.close(writer)


@contextmanager
def lending_ctrl_c() -> Iterator[threading.Event]:
    """Inside the block Ctrl-C sets the event and ends nothing; the other signals are as ever.

    Elsewhere than in a process's main thread nothing is lent.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.set())
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def lending_wakeup() -> Iterator[None]:
    """Inside the block an event loop may take what wakes it at a signal; it gives nothing back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(ours, warn_on_full_buffer=False)


def _strike(number: int, frame: FrameType | None) -> None:
    """In the main thread, between two of its steps."""
    global _heard, _struck
    if not _struck:
        _struck = True
        _heard = _heard or number
        _raise_stop(frame)


def _strike_again(number: int, frame: FrameType | None) -> None:
    if asked():
        _raise_stop(frame)


def _raise_stop(frame: FrameType | None) -> None:
    """Stop the main thread, now or, where that would abort the process, a moment later."""
    global _lost
    if _held:
        return
    if _starts_extension(frame):
        _lost = True
        return
    raise Stop


def _starts_extension(frame: FrameType | None) -> bool:
    """Whether a compiled module is being imported: C++ that sets one up may not expect a Stop."""
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        frame = frame.f_back
    return False


def _quieter(hook: Callable[[Any], object]) -> Callable[[Any], None]:
    """What Python tells of an exception that it drops, unless that comes of stopping."""

    def tell(dropped: Any) -> None:
        global _lost
        if not asked():
            hook(dropped)
        elif dropped.exc_type is not None and issubclass(dropped.exc_type, Stop):
            _lost = True

    return tell


def _listen(reader: int) -> None:
    """Hear signals, also while the main thread is inside a library."""
    global _heard, _lost
    number = _next(reader)
    if number is None:
        os.close(reader)
        return
    _heard = _heard or number
    started = unwinding = time.monotonic()
    while (spent := time.monotonic() - started) < GRACE_S:
        _tell_waiting()
        if _held or not _struck or _unwinds():
            unwinding = time.monotonic()
        elif time.monotonic() - unwinding > DROPPED_S:
            _lost, unwinding = True, time.monotonic()
        if _lost and not _held:
            _lost = False
            signal.pthread_kill(threading.main_thread().ident or 0, AGAIN)
        ready, _, _ = select.select([reader], [], [], min(REPEAT_S, GRACE_S - spent))
        if ready and _next(reader) is not None and time.monotonic() - started > SAME_S:
            _end_at_once("ended at once by the second signal")
    _end_at_once(f"what was at work did not end within {GRACE_S:g} s: ended as it stood")


def _unwinds() -> bool:
    """Whether the main thread handles its Stop, or what came of it.

    A library's bare ``except:`` ends a Stop like any other exception, and nobody hears of it.
    """
    handled = vars(sys)["_current_exceptions"]().get(threading.main_thread().ident)
    error = handled[1] if isinstance(handled, tuple) else handled  # a tuple until Python 3.12
    while error is not None and not isinstance(error, Stop):
        error = error.__context__
    return error is not None


def _tell_waiting() -> None:
    """A function of its own: what the listener still named would outlive the interpreter."""
    for end in list(_waiting):
        with contextlib.suppress(Exception):
            end()


def _next(reader: int) -> int | None:
    """The next signal of ours; None where there are to be no more."""
    while heard := os.read(reader, 1):
        number = heard[0]
        if number in SIGNALS and signal.getsignal(number) is _strike:  # a server may have its own
            return number
        if asked():
            return number if number in SIGNALS else None
    return None


def _end_at_once(words: str) -> NoReturn:
    with contextlib.suppress(OSError):
        if os.environ.get(QUIET) is None:
            os.write(2, f"\nStopped by {name()}: {words}\n".encode())
    end_descendants()
    os._exit(exit_status())


def leave(status: int) -> NoReturn:
    """End a process that was asked to, once its threads have ended and its exit hooks have run.

    What Python does beyond that, taking all modules apart, lets libraries complain of what an
    exception out of their middle left, and lasts.
    """
    vars(threading)["_shutdown"]()  # joins threads, those of executors too
    vars(atexit)["_run_exitfuncs"]()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def end_descendants() -> None:
    """Kill all processes that this one, or one of them, started."""
    for child in descendants():
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)


def descendants(of: int | None = None) -> list[int]:
    """Processes that come of one, by default of this one; only Linux tells."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = list(children.get(of or os.getpid(), ()))
    for child in found:  # grows
        found += children.get(child, ())
    return found


@cache
def _forget_in_forks() -> None:
    os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    """In a fork: signals are its own affair."""
    ours = [number for number in SIGNALS if signal.getsignal(number) is _strike]
    if ours:
        signal.set_wakeup_fd(-1)
    for number in ours:
        signal.signal(number, signal.SIG_DFL)
