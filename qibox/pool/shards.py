"""Writes samples as shards of a fixed size, and beside each the rows refused while it was filled.

Writes RUN/pool/shard-NNNNN.parquet, keyed by its content, and RUN/rejects/shard-NNNNN.parquet. A
shard file that is already there under the same key stays untouched.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future

import pyarrow as pa

from qibox.errors import DamagedFileError
from qibox.run.layout import is_of_run, pool_path, rejects_path
from qibox.run.storage import Storage
from qibox.run.units import Shard, shard_key
from qibox.tables import REJECTS, UNCOUNTED

SHARD_BYTES = 256 << 20  # a shard of large images closes early: workers hold a whole one
THREADS = 3  # that put shards on the disk: while it syncs one another is hashed
HELD_BYTES = 16 << 20  # of shards on their way to the disk; one alone may have more


class ShardWriter:
    """Collects samples and rejects in order and writes them shard by shard.

    A full shard is hashed and written by a thread while the next ones are collected.
    """

    def __init__(
        self,
        storage: Storage,
        shard_size: int,
        threads: Executor,
        home: str = "",
        stands: Callable[[Shard], None] | None = None,
    ) -> None:
        """``threads`` are :data:`THREADS`; one calls ``stands`` with a shard whose file stands."""
        self._storage = storage
        self._threads = threads
        self._under_way: deque[tuple[int, Future[str]]] = deque()  # full shards: bytes, and the key
        self._home = home
        self._stands = stands
        self._shard_size = shard_size
        self._samples: list[pa.Table] = []
        self._rows = 0
        self._bytes = 0
        self._rejects: list[pa.Table] = []
        self._written_rejects: set[str] = set()
        # Of an earlier reading; nobody else writes here meanwhile.
        self._there = {n for f in ("pool", "rejects") for n in storage.files(f"{home}{f}")}
        self.keys: list[str] = []
        self.sizes: list[int] = []

    def add(self, samples: pa.Table) -> None:
        """Take more samples; full shards are written."""
        while samples.num_rows:
            part = samples.slice(0, self._room(samples))
            samples = samples.slice(part.num_rows)
            self._samples.append(part)
            self._rows += part.num_rows
            self._bytes += _size(part)
            if self._rows == self._shard_size or self._bytes >= SHARD_BYTES:
                self._write()

    def reject(self, rejects: pa.Table) -> None:
        """Take more rejects; they are written with the shard being filled."""
        if rejects.num_rows:
            self._rejects.append(rejects)

    def finish(self) -> None:
        """Write what is left, and remove what an earlier, longer reading had left behind."""
        if self._samples:
            self._write()
        self._settle(0)
        if self._rejects:
            self._write_rejects(len(self.keys), self._rejects)
        kept = {*map(self._pool_path, range(len(self.keys))), *self._written_rejects}
        for name in sorted(self._there - kept):
            if is_of_run(name.removeprefix(self._home)):
                self._remove(name)

    def _pool_path(self, shard: int) -> str:
        return pool_path(shard, self._home)

    def _remove(self, name: str) -> None:
        if name.endswith(".parquet"):  # the index stays until a new one takes its place
            self._storage.remove(name)

    def _room(self, samples: pa.Table) -> int:
        """How many of these samples the shard being filled takes: at least one."""
        rows: int = samples.num_rows
        each: int = max(1, _size(samples) // rows)
        return max(1, min(self._shard_size - self._rows, rows, (SHARD_BYTES - self._bytes) // each))

    def _write(self) -> None:
        """Have the shard written, once few enough of those before it are still on their way."""
        self._settle(max(0, HELD_BYTES - self._bytes))
        table = pa.concat_tables(self._samples)
        put = self._threads.submit(self._put, len(self.sizes), table, self._rejects)
        self._under_way.append((self._bytes, put))
        self.sizes.append(table.num_rows)
        self._samples, self._rows, self._bytes, self._rejects = [], 0, 0, []

    def _settle(self, held: int) -> None:
        """Wait for shards on their way, the first one first, until the others have so few bytes."""
        while self._under_way and (
            len(self._under_way) == THREADS or sum(size for size, _ in self._under_way) > held
        ):
            self.keys.append(self._under_way.popleft()[1].result())

    def _put(self, shard: int, samples: pa.Table, rejects: list[pa.Table]) -> str:
        """Write a shard and the rejects beside it; gives back its key."""
        key = shard_key(samples)
        if not self._is_there(self._pool_path(shard), key):
            self._storage.write_table(self._pool_path(shard), samples, key)
        if rejects:
            self._write_rejects(shard, rejects)
        if self._stands is not None:
            self._stands(Shard(shard, key, samples.num_rows))
        return key

    def _is_there(self, name: str, key: str) -> bool:
        if name not in self._there or self._storage.table_key(name) != key:
            return False
        try:
            self._storage.check_table(name)
        except DamagedFileError:
            return False
        return True

    def _write_rejects(self, shard: int, rejects: list[pa.Table]) -> None:
        name = rejects_path(shard, self._home)
        self._storage.write_table(name, pa.concat_tables(rejects).cast(REJECTS))
        self._written_rejects.add(name)


def _size(samples: pa.Table) -> int:
    """Bytes of samples, without what no key counts: keys tell where a shard ends."""
    size: int = samples.drop_columns(UNCOUNTED).nbytes
    return size
