"""Reads Parquet files as tables, a few megabytes at a time however large their row groups are.

Reads a file, a directory or a glob, local or remote; only the columns that the manifest uses.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from qibox.errors import UsageError
from qibox.manifests.pool import PoolManifest
from qibox.pool.columns import check_columns, rows_of_table, wanted_columns
from qibox.pool.labels import labels_of, with_names
from qibox.pool.rows import BATCH_BYTES, BATCH_ROWS, Rows, ahead

LARGE = 256 << 20  # bytes of a row group held whole
BUFFER = 1 << 20  # bytes of a column held while a row group is read piece by piece
NUMBER_BYTES = 4  # of a row whose value is in the dictionary, at most
HEADERS = 4096  # bytes around the numbers of a chunk, about
USUAL_DICTIONARY = 2 << 20  # bytes; writers go over to plain values at 1 MiB


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
            with _opened(fs, name) as file:
                for table in ahead(_tables(file, manifest, origin)):
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
def _opened(fs: fsspec.AbstractFileSystem, name: str) -> Iterator[pq.ParquetFile]:
    """Open a file so that row groups too large to hold are read piece by piece."""
    local = "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)
    source = pa.OSFile(name) if local else fs.open(name, "rb")  # Arrow's own is faster
    with source:
        file = pq.ParquetFile(source, pre_buffer=False)  # else it keeps all that was read
        largest = max(
            (file.metadata.row_group(g).total_byte_size for g in _groups(file)), default=0
        )
        yield (
            file
            if largest <= LARGE
            else pq.ParquetFile(source, pre_buffer=False, buffer_size=BUFFER)
        )


def _groups(file: pq.ParquetFile) -> range:
    return range(file.metadata.num_row_groups)


def _tables(file: pq.ParquetFile, manifest: PoolManifest, origin: str) -> Iterator[pa.Table]:
    schema = file.schema_arrow
    check_columns(manifest, schema.names, origin)
    metadata = file.metadata
    groups = [metadata.row_group(at) for at in _groups(file)]
    names = wanted_columns(manifest)
    heaviest = max((_row_bytes(g, names) for g in groups), default=1.0)
    rows = max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(heaviest, 1.0))))
    labels = labels_of(schema)
    for table in _together(file.iter_batches(batch_size=rows, columns=names)):
        yield with_names(table, labels)


def _row_bytes(group: pq.RowGroupMetaData, columns: list[str]) -> float:
    """How large a row of a row group may be in memory.

    Usually its share of the row group. But a value that repeats lies in its chunk's dictionary once
    and is a number elsewhere: a chunk of numbers may hold many times its size, and so may one whose
    dictionary is larger than writers let it grow with values that do not repeat. There a value is
    taken to be as large as the dictionary.
    """
    rows = max(group.num_rows, 1)
    hidden = 0
    for chunk in (group.column(at) for at in range(group.num_columns)):
        if chunk.path_in_schema.partition(".")[0] not in columns or not chunk.has_dictionary_page:
            continue
        dictionary = max(0, chunk.data_page_offset - chunk.dictionary_page_offset)
        numbers = chunk.total_compressed_size - dictionary <= NUMBER_BYTES * rows + HEADERS
        if numbers or dictionary > USUAL_DICTIONARY:
            hidden += dictionary
    share: float = group.total_byte_size / rows
    return max(hidden, share)


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
