"""Recorded responses on disk: find the files, check them against the import format, read pieces.

The format is described in :mod:`qibox.engines.replay`.
"""

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

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
    """One row group of one file; a large recording has thousands of them."""

    path: str
    group: int
    first: str | None = None  # of its sample_ids in the order of their bytes; None: not told
    last: str | None = None


def of_model(table: pa.Table, model: str) -> pa.Table:
    """The rows of one model; a recording that names none is that model's."""
    if table["model"].null_count == len(table):
        return table
    return table.filter(pc.fill_null(pc.equal(table["model"], model), False))


def find_pieces(source: str, model: str) -> list[Piece]:
    """The row groups that may hold a model's responses, from the footers alone."""
    files = _files(source)
    folders = {folder for path in files if (folder := _folder_model(path)) is not None}
    if folders and model not in folders:
        raise UsageError(
            f"recorded responses at {source} hold none of model '{model}' (they hold "
            f"{', '.join(sorted(folders))}): name the recorded model in settings.model"
        )
    own = [path for path in files if _folder_model(path) in (None, model)]
    pieces: list[Piece] = []
    for path in own:
        pieces.extend(_pieces(path, _checked(path, source)))
    return pieces


def _pieces(path: Path, metadata: pq.FileMetaData) -> Iterator[Piece]:
    """A file's row groups, with the bounds of their ids where the footer has them."""
    names = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
    ids, name = names.index("sample_id"), str(path)
    for group in range(metadata.num_row_groups):
        told = metadata.row_group(group).column(ids).statistics
        if told is None or not told.has_min_max:
            yield Piece(name, group)
        else:
            yield Piece(name, group, told.min, told.max)


def _files(source: str) -> list[Path]:
    path = Path(source).expanduser()
    if not path.exists():
        raise UsageError(f"no recorded responses at {source}: give a Parquet file or a directory")
    if path.is_file():
        return [path]
    files = sorted(
        found
        for found in path.rglob("*.parquet")
        if not any(part.startswith(".") for part in found.relative_to(path).parts)
    )
    if not files:
        raise UsageError(f"recorded responses at {source}: the directory holds no .parquet file")
    return files


def _folder_model(path: Path) -> str | None:
    for folder in path.parts[:-1]:
        if folder.startswith("model="):
            return folder.removeprefix("model=")
    return None


def _checked(path: Path, source: str) -> pq.FileMetaData:
    """A file's footer, its columns checked against the import format."""
    try:
        with checked(path) as file:
            metadata = file.metadata
    except (pa.ArrowException, OSError) as error:
        raise UsageError(
            f"recorded responses at {source}: {path.name} is not Parquet: {error}"
        ) from error
    schema = metadata.schema.to_arrow_schema()
    missing = [name for name in REQUIRED if name not in schema.names]
    if missing:
        raise UsageError(
            f"recorded responses at {source}: {path.name} lacks column "
            f"{', '.join(missing)} (it has {', '.join(schema.names)})"
        )
    for name, wanted in TYPES.items():
        if name in schema.names and not _castable(schema.field(name).type, wanted):
            raise UsageError(
                f"recorded responses at {source}: column {name} of {path.name} is "
                f"{schema.field(name).type}, it must be {wanted}"
            )
    return metadata


@contextmanager
def checked(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a recorded file; one that this package wrote is checked as it is read."""
    with path.open("rb") as file:
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
        with checked(Path(piece.path)) as file:
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
    return sum(path.stat().st_size for path in _files(source))


def recording_fingerprint(source: str, models: Collection[str] | None = None) -> str:
    """``sha256:…`` of a recording's files, so that a changed recording is a changed model.

    With ``models``, those that lie in a folder of another model do not count: a further model that
    is recorded beside them changes nothing of theirs.

    Raises:
        UsageError: there is nothing there.
    """
    hasher = hashlib.sha256()
    root = Path(source).expanduser()
    files = _files(source)
    if models is not None:
        files = [path for path in files if _folder_model(path) in (None, *models)] or files
    for path in files:
        name = path.relative_to(root).as_posix() if root.is_dir() else path.name
        hasher.update(f"{name}\0{path.stat().st_size}\0".encode())
        hasher.update(_digest(path, path.stat().st_size, path.stat().st_mtime_ns))
    return f"sha256:{hasher.hexdigest()}"


@cache
def _digest(path: Path, size: int, changed: int) -> bytes:
    """The digest of a file as it is now; a panel's models often share one recording."""
    return content_digest(path, WHOLE, SAMPLES, SAMPLE)
