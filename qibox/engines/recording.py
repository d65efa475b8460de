"""Recorded responses on disk: find the files, check them against the import format, read pieces.

The format is described in :mod:`qibox.engines.replay`.
"""

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qibox.digests import content_digest
from qibox.engines.sources import SAMPLE, SAMPLES, WHOLE
from qibox.errors import UsageError
from qibox.run.seal import SealedFile, SealedParquet

TYPES = {
    "sample_id": pa.string(),
    "k": pa.int32(),
    "text": pa.string(),
    "model": pa.string(),
    "finish_reason": pa.string(),
    "tokens": pa.int32(),
    "reasoning": pa.string(),
    "reason": pa.string(),
}
REQUIRED = ("sample_id", "text")


@dataclass(frozen=True, slots=True)
class Piece:
    """One row group of one file."""

    path: str
    group: int
    first: str | None = None  # of its sample_ids in the order of their bytes; None: not told
    last: str | None = None


class Pieces:
    """Row groups in columns: a large recording has thousands of them."""

    def __init__(self, found: Sequence[Piece]) -> None:
        self._paths = pa.array((piece.path for piece in found), pa.string())
        self._groups = np.array([piece.group for piece in found], np.int32)
        self._first = pa.array((piece.first for piece in found), pa.string())
        self._last = pa.array((piece.last for piece in found), pa.string())

    def __len__(self) -> int:
        """How many."""
        return len(self._groups)

    def __getitem__(self, number: int) -> Piece:
        """The one of that number, from 0."""
        bounds = self._first[number].as_py(), self._last[number].as_py()
        return Piece(self._paths[number].as_py(), int(self._groups[number]), *bounds)

    def within(self, keys: pa.Array) -> list[int]:
        """Numbers of those whose bounds do not tell that they hold none of the keys, in order."""
        ends = pc.min_max(keys).as_py()
        if ends["min"] is None:
            return []
        begun = pc.fill_null(pc.less_equal(self._first, ends["max"]), True)
        goes_on = pc.fill_null(pc.greater_equal(self._last, ends["min"]), True)
        found: list[int] = np.flatnonzero(pc.and_(begun, goes_on)).tolist()
        return found


def of_model(table: pa.Table, model: str) -> pa.Table:
    """The rows of one model; a recording that names none is that model's."""
    if table["model"].null_count == len(table):
        return table
    return table.filter(pc.fill_null(pc.equal(table["model"], model), False))


def find_pieces(source: str, model: str) -> Pieces:
    """The row groups that may hold a model's responses, from the footers alone."""
    own = _files(source, [model])
    if not any(_folder_model(path) == model for path in own):
        folders = {folder for path in _files(source) if (folder := _folder_model(path)) is not None}
        if folders:
            raise UsageError(
                f"recorded responses at {source} hold none of model '{model}' (they hold "
                f"{', '.join(sorted(folders))}): name the recorded model in settings.model"
            )
    return Pieces([piece for path in own for piece in _pieces(path, _checked(path, source))])


def _pieces(path: str, metadata: pq.FileMetaData) -> Iterator[Piece]:
    """A file's row groups, with the bounds of their ids where the footer has them."""
    names = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
    ids = names.index("sample_id")
    for group in range(metadata.num_row_groups):
        told = metadata.row_group(group).column(ids).statistics
        if told is None or not told.has_min_max:
            yield Piece(path, group)
        else:
            yield Piece(path, group, told.min, told.max)


def _files(source: str, models: Collection[str] | None = None) -> list[str]:
    """A recording's files in the order of their folders and names.

    With ``models`` those that lie in a folder of another model are left out, if others are there.
    """
    root = Path(source).expanduser()
    if not root.exists():
        raise UsageError(f"no recorded responses at {source}: give a Parquet file or a directory")
    if root.is_file():
        return [str(root)]
    found = list(_walk(root, models)) or list(_walk(root))
    if not found:
        raise UsageError(f"recorded responses at {source}: the directory holds no .parquet file")
    return sorted(found, key=lambda path: path.split("/"))


def _walk(root: Path, models: Collection[str] | None = None) -> Iterator[str]:
    """The files under a folder, but for names that begin with a dot, and for other models'."""
    for folder, below, names in os.walk(root):
        if models is not None and _folder_model(f"{folder}/") not in (None, *models):
            below.clear()
            continue
        below[:] = [name for name in below if not name.startswith(".")]
        parquet = (name for name in names if name.endswith(".parquet"))
        yield from (f"{folder}/{name}" for name in parquet if not name.startswith("."))


def _folder_model(path: str) -> str | None:
    for folder in path.split("/")[:-1]:
        if folder.startswith("model="):
            return folder.removeprefix("model=")
    return None


def _checked(path: str, source: str) -> pq.FileMetaData:
    """A file's footer, its columns checked against the import format."""
    try:
        with checked(path) as file:
            metadata = file.metadata
    except (pa.ArrowException, OSError) as error:
        raise UsageError(
            f"recorded responses at {source}: {Path(path).name} is not Parquet: {error}"
        ) from error
    schema = metadata.schema.to_arrow_schema()
    missing = [name for name in REQUIRED if name not in schema.names]
    if missing:
        raise UsageError(
            f"recorded responses at {source}: {Path(path).name} lacks column "
            f"{', '.join(missing)} (it has {', '.join(schema.names)})"
        )
    for name, wanted in TYPES.items():
        if name in schema.names and not _castable(schema.field(name).type, wanted):
            raise UsageError(
                f"recorded responses at {source}: column {name} of {Path(path).name} is "
                f"{schema.field(name).type}, it must be {wanted}"
            )
    return metadata


@contextmanager
def checked(path: str) -> Iterator[pq.ParquetFile]:
    """Open a recorded file; one that this package wrote is checked as it is read."""
    with Path(path).open("rb") as file:
        sealed = SealedFile(file, lambda why: OSError(f"it is damaged ({why})"))
        yield SealedParquet(sealed)


def _castable(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_null(found):
        return True
    if pa.types.is_dictionary(found):
        found = found.value_type
    if wanted == pa.string():
        strings = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
        return any(is_kind(found) for is_kind in strings)
    return bool(pa.types.is_integer(found))


def load_piece(piece: Piece, source: str, columns: list[str]) -> pa.Table:
    """Some columns of one row group; a column that is not there is null, and k is 0."""
    try:
        with checked(piece.path) as file:
            present = [name for name in columns if name in file.schema_arrow.names]
            table = file.read_row_group(piece.group, columns=present)
        arrays: dict[str, Any] = {}
        for name in present:
            arrays[name] = table[name].cast(TYPES[name])
    except (pa.ArrowException, OSError) as error:
        raise UsageError(
            f"recorded responses at {source}: {Path(piece.path).name} cannot be read: {error}"
        ) from error
    for name in columns:
        if name not in arrays:
            arrays[name] = pa.nulls(len(table), TYPES[name])
    if "k" in columns:
        arrays["k"] = pc.fill_null(arrays["k"], 0)
    return pa.table({name: arrays[name] for name in columns})


def recorded_bytes(source: str) -> int:
    """The size of a recording's files.

    Raises:
        UsageError: there is nothing there.
    """
    return sum(Path(path).stat().st_size for path in _files(source))


def recording_fingerprint(source: str, models: Collection[str] | None = None) -> str:
    """``sha256:…`` of a recording's files, so that a changed recording is a changed model.

    With ``models``, those that lie in a folder of another model do not count: a further model that
    is recorded beside them changes nothing of theirs.

    Raises:
        UsageError: there is nothing there.
    """
    hasher = hashlib.sha256()
    root = Path(source).expanduser()
    for path in _files(source, models):
        file = Path(path)
        state = file.stat()
        name = file.relative_to(root).as_posix() if root.is_dir() else file.name
        hasher.update(f"{name}\0{state.st_size}\0".encode())
        digest = _digest if _folder_model(path) is not None else _shared_digest
        hasher.update(digest(path, state.st_size, state.st_mtime_ns))
    return f"sha256:{hasher.hexdigest()}"


def _digest(path: str, size: int, changed: int) -> bytes:
    """The digest of a file as it is now."""
    return content_digest(Path(path), WHOLE, SAMPLES, SAMPLE)


_shared_digest = cache(_digest)  # of a file that no model has to itself: a panel reads it once
