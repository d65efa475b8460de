"""What holds for all tests: no network, no spinning threads, no law that is timed."""

import contextlib
import gc
import os
import signal

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import settings

settings.register_profile("qibox", deadline=None)  # a busy machine proves nothing against a law
settings.load_profile("qibox")

LONG = ("slow", "vllm")

# A shell's background job ignores these, and so would every process that a test interrupts.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have long tests, so that none is left for one worker at the end."""
    long = {item.path for item in items if any(map(item.get_closest_marker, LONG))}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """Spare the collector what is there for good: all that the test files import."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """At the interpreter's end all is collected, or DuckDB's bindings tell of what was left."""
    gc.unfreeze()


@pytest.fixture
def few_objects() -> None:
    """A small heap for the collector: what is tested calls it again and again."""
    gc.collect()
    gc.freeze()
