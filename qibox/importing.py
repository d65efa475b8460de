"""Import large packages in less time, or later."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Withheld:
    """In front of ``sys.meta_path`` it lets nobody import a package that is not imported yet."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Leave all other packages to those who find them."""
        if name == self._package:
            raise ModuleNotFoundError(f"{name} is not to be imported here", name=name)


@contextmanager
def pandas_later() -> Iterator[None]:
    """Inside the block Arrow works without pandas; after it, it has imported it.

    It does so at the first array that it makes, so that it knows pandas' own columns when it is
    given one. That takes as long as a shard, in which a process beside has nothing to do yet.
    """
    if "pandas" in sys.modules:
        yield
        return
    finder = Withheld("pandas")
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
    import pyarrow as pa  # not above: commands that need none import this module as well

    with importing():
        pa.table({}).to_pandas()


@contextmanager
def importing() -> Iterator[None]:
    """Collect no garbage meanwhile.

    Nearly all that an import makes stays, so that each collection walks through it in vain: a fifth
    of the time that Apache Beam takes to import.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
