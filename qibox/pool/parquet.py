"""Reads Parquet files as tables, a few megabytes at a time however large their row groups are.

Reads a file, a directory or a glob, local or remote; only the columns that the manifest uses.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from qibox.errors import UsageError
from qibox.manifests.pool import PoolManifest
from qibox.pool.columns import check_columns, rows_of_table, wanted_columns
from qibox.pool.dictionaries import row_bytes
from qibox.pool.labels import labels_of, with_names
from qibox.pool.rows import BATCH_BYTES, BATCH_ROWS, Rows, ahead

LARGE = 256 << 20  # bytes of a row group held whole
BUFFER = 1 << 20  # bytes of a column held while a row group is read piece by piece


def read_parquet(manifest: PoolManifest) -> Iterator[Rows]:
    """Yield the rows of all files, in the order of their names.

    Raises:
        UsageError: no such file, no Parquet, or not the columns that the manifest names.
    """
    assert manifest.path is not None
    fs, path = fsspec.core.url_to_fs(manifest.path)
    start = 0
    for name in _files(fs, path, manifest):
        origin = PurePosixPath(name).name
        try:
            with _opened(fs, name) as (file, source):
                for table in ahead(_tables(file, source, manifest, origin)):
                    yield rows_of_table(table, start, manifest, origin)
                    start += table.num_rows
        except (pa.ArrowException, OSError) as error:
            words = " ".join(str(error).split())[:200]
            raise UsageError(
                f"pool {manifest.name}: {origin} cannot be read as Parquet: {words}"
            ) from error


def _files(fs: fsspec.AbstractFileSystem, path: str, manifest: PoolManifest) -> list[str]:
    one = False  # a file that is named itself is of the split that is asked for
    if fs.isdir(path):
        found = sorted(str(name) for name in fs.find(path) if str(name).endswith(".parquet"))
        where = f"{manifest.path} (with all its folders)"
    elif any(sign in path for sign in "*?["):
        found, where = sorted(map(str, fs.glob(path))), f"{manifest.path}"
    else:
        found, where, one = [path] if fs.exists(path) else [], f"{manifest.path}", True
    if manifest.split is not None and not one:
        found = [name for name in found if _of_split(name, manifest.split)]
        where += f" of split '{manifest.split}'"
    if not found:
        raise UsageError(f"pool {manifest.name}: no Parquet file at {where}: check `path`")
    return found


def _of_split(name: str, split: str) -> bool:
    """Whether a file is of a split, as the hub lays them out: split-00000.parquet or split/…"""
    path = PurePosixPath(name)
    return path.parent.name == split or path.stem.split("-")[0] == split


@contextmanager
def _opened(fs: fsspec.AbstractFileSystem, name: str) -> Iterator[tuple[pq.ParquetFile, IO[bytes]]]:
    """Open a file so that row groups too large to hold are read piece by piece; and its bytes."""
    local = "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)
    source = pa.OSFile(name) if local else fs.open(name, "rb")  # Arrow's own is faster
    with source:
        file = pq.ParquetFile(source, pre_buffer=False)  # else it keeps all that was read
        largest = max(
            (file.metadata.row_group(g).total_byte_size for g in _groups(file)), default=0
        )
        if largest > LARGE:
            file = pq.ParquetFile(source, pre_buffer=False, buffer_size=BUFFER)
        yield file, source


def _groups(file: pq.ParquetFile) -> range:
    return range(file.metadata.num_row_groups)


def _tables(
    file: pq.ParquetFile, source: IO[bytes], manifest: PoolManifest, origin: str
) -> Iterator[pa.Table]:
    schema = file.schema_arrow
    check_columns(manifest, schema.names, origin)
    metadata = file.metadata
    groups = [metadata.row_group(at) for at in _groups(file)]
    names = wanted_columns(manifest)
    heaviest = max((row_bytes(source, group, names) for group in groups), default=1.0)
    rows = max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(heaviest, 1.0))))
    labels = labels_of(schema)
    for table in _together(file.iter_batches(batch_size=rows, columns=names)):
        yield with_names(table, labels)


def _together(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in fewer pieces, where these are much smaller than they may be."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if 2 * rows > BATCH_ROWS or 2 * size > BATCH_BYTES:
            yield pa.Table.from_batches(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.Table.from_batches(held)
