"""The tables of one shard, handed on in memory from the stage that makes them to the next ones.

Each file is written as ever, whole and under its final name before what is made of it. Only that
whoever reads it next, in the same process and for the same shard, need not decode it again, and
that nobody waits for the disk: a thread puts the files under their names, one after the other as
they were made. What was there before is read from its file.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial

import pyarrow as pa

from qibox.run.newfile import NewFile
from qibox.run.storage import Storage, TableWriter
from qibox.run.units import Unit
from qibox.scoring.endings import counts_of
from qibox.scoring.footers import Footer, remember
from qibox.scoring.slices import SLICE_SAMPLES
from qibox.tables import SAMPLES

SYNCS = 16  # at once: as many as a shard's files
SYNCING = "sync"  # how threads of this process are named that are idle between turns
LOOKED_AT = [name for name in SAMPLES.names if name != "image"]  # by stages that hold no model


def shard_storage(storage: Storage, stages: Sequence[Sequence[Unit]]) -> Storage:
    """A storage for the units of one shard, by stage; the same one where nothing is handed on.

    The tables of a shard larger than a slice are read again, as memory must not grow with a shard.
    """
    first = stages[0][0]
    if len(stages) == 1 or first.samples > SLICE_SAMPLES:
        return storage
    return ShardStorage(storage, first.pool)


class ShardStorage(Storage):
    """A run's storage for the work on one shard, small enough to be held."""

    def __init__(self, storage: Storage, pool: str) -> None:
        """``pool`` is the shard's file of samples, which is read once for all stages."""
        self.fs, self.is_local = storage.fs, storage.is_local
        self.root, self.url = storage.root, storage.url
        self._states = {}
        self._pool = pool
        self._held: dict[str, pa.Table] = {}
        self._row = Row()

    def settling(self) -> Callable[[], None]:
        """What waits until all stands that was written here; it holds no table."""
        return self._row.end

    def _when_whole(self, file: NewFile) -> None:
        self._row.put(file)

    @contextmanager
    def table_writer(
        self,
        name: str,
        schema: pa.Schema,
        key: str | None = None,
        *,
        edition: str | None = None,
        made_of: str | None = None,
    ) -> Iterator[TableWriter]:
        """Write a Parquet file, and hold what is in it once it is whole."""
        with super().table_writer(name, schema, key, edition=edition, made_of=made_of) as writer:
            holding = _Holding(writer)
            yield holding
        if edition is None:  # what was mended is read as anything else that was there before
            table = pa.concat_tables([schema.empty_table(), *holding.tables])
            self._held[name] = table
            self._row.then(partial(remember, self, name, _footer(table, key, made_of)))

    def held(self, name: str, columns: Sequence[str]) -> pa.Table | None:
        """Those columns of a table that was made here, or of the samples."""
        if name == self._pool and name not in self._held and set(columns) <= set(LOOKED_AT):
            self._held[name] = self.read_table(name, LOOKED_AT)
        table = self._held.get(name)
        if table is None or not set(columns) <= set(table.column_names):
            return None
        return table.select(list(columns))


class _Holding:
    """Writes tables, and keeps them."""

    def __init__(self, writer: TableWriter) -> None:
        self._writer = writer
        self.tables: list[pa.Table] = []

    def write_table(self, table: pa.Table, row_group_size: int | None = None) -> None:
        """Write and keep one."""
        self._writer.write_table(table, row_group_size)
        self.tables.append(table)

    def add_key_value_metadata(self, notes: Mapping[str | bytes, str | bytes]) -> None:
        """Note something in the file."""
        self._writer.add_key_value_metadata(notes)


class Row:
    """Files that a thread puts under their names, one after the other; none after one that fails.

    So nothing stands whose input does not, and whoever writes need not wait for the disk. Their
    content is synced side by side: a file system commits what is asked for at the same time in one
    go, where one after the other took as long as making the files.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "files")
        self._under_way: list[Future[None]] = []
        self._broken = False

    def put(self, file: NewFile) -> None:
        """Let a file stand, in its turn."""
        synced = _syncing().submit(file.sync)
        self._under_way.append(self._thread.submit(self._stand, file, synced))

    def then(self, work: Callable[[], None]) -> None:
        """Do something once all before it stands."""
        self._under_way.append(self._thread.submit(lambda: None if self._broken else work()))

    def end(self) -> None:
        """Wait until all stands.

        Raises:
            OSError: the disk failed.
        """
        self._thread.shutdown()
        for each in self._under_way:
            each.result()

    def _stand(self, file: NewFile, synced: "Future[None]") -> None:
        try:
            synced.result()
            if not self._broken:
                file.name()
        except BaseException:
            self._broken = True
            raise
        finally:
            if self._broken:
                file.discard()


@cache
def _syncing() -> ThreadPoolExecutor:
    """The threads of this process that wait for the disk."""
    return ThreadPoolExecutor(SYNCS, SYNCING)


os.register_at_fork(after_in_child=_syncing.cache_clear)  # a fork has none of them


def _footer(table: pa.Table, key: str | None, made_of: str | None) -> Footer:
    failed = 0
    if "reason" in table.column_names:
        failed = len(table) - table["reason"].null_count
    return Footer(key, len(table), failed, made_of=made_of, counts=counts_of(table))
