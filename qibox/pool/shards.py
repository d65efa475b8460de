"""Writes samples as shards of a fixed size, and beside each the rows refused while it was filled.

Writes RUN/pool/shard-NNNNN.parquet, keyed by its content, and RUN/rejects/shard-NNNNN.parquet. A
shard file that is already there under the same key stays untouched.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future

import pyarrow as pa

from qibox.errors import DamagedFileError
from qibox.run.layout import is_of_run, pool_path, rejects_path
from qibox.run.storage import Storage
from qibox.run.units import Shard, shard_key
from qibox.tables import REJECTS, UNCOUNTED

SHARD_BYTES = 256 << 20  # a shard of large images closes early: workers hold a whole one


class ShardWriter:
    """Collects samples and rejects in order and writes them shard by shard.

    A full shard is hashed and written by a thread while the next one is collected.
    """

    def __init__(
        self,
        storage: Storage,
        shard_size: int,
        thread: Executor,
        home: str = "",
        stands: Callable[[Shard], None] | None = None,
    ) -> None:
        """``stands`` is called with each shard once its file stands."""
        self._storage = storage
        self._thread = thread
        self._under_way: Future[str] | None = None  # the last full shard: to its key
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
        self._settle()
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
        """Have the shard written, once the one before it is: no more than two are in memory."""
        self._settle()
        table = pa.concat_tables(self._samples)
        self._under_way = self._thread.submit(self._put, len(self.keys), table, self._rejects)
        self.sizes.append(table.num_rows)
        self._samples, self._rows, self._bytes, self._rejects = [], 0, 0, []

    def _settle(self) -> None:
        """Wait for the shard under way."""
        if self._under_way is not None:
            key = self._under_way.result()
            self._under_way = None
            self.keys.append(key)
            if self._stands is not None:
                number = len(self.keys) - 1
                self._stands(Shard(number, key, self.sizes[number]))

    def _put(self, shard: int, samples: pa.Table, rejects: list[pa.Table]) -> str:
        """Write a shard and the rejects beside it; gives back its key."""
        key = shard_key(samples)
        if not self._is_there(self._pool_path(shard), key):
            self._storage.write_table(self._pool_path(shard), samples, key)
        if rejects:
            self._write_rejects(shard, rejects)
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
