"""Where a run's files lie: a local directory or any URL that fsspec knows.

A file is whole or absent: a local one is written under a temporary name, synced and renamed; a
remote one is written to a local temporary file and then put under its final name in one go.
Temporary names start with a dot, so that no glob over ``*.parquet`` ever sees one.
"""

import errno
import os
import re
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar, cast

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from qibox.errors import DamagedFileError, UsageError
from qibox.run.mending import damaged, telling_damage
from qibox.run.newfile import NewFile, naming
from qibox.run.patience import (
    PatientFile,
    find_files,
    has_no_folders,
    is_there,
    local_files,
    patiently,
)
from qibox.run.seal import SealedFile, SealedParquet, seal, sealed_text, unsealed_text
from qibox.yaml_text import parse_yaml

R = TypeVar("R")

KEY = b"qibox.key"
EDITION = b"qibox.edition"  # see qibox.run.editions
MADE_OF = b"qibox.made_of"
PARQUET_OPTIONS = {"compression": "zstd", "compression_level": 1, "write_page_checksum": True}
# What stores call that which changes with a file's content, the surest first.
STATES = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime")
_IN_A_FILE = re.compile(
    r"(.*?(?:(?:shard|part)-\d{5,}\.parquet|/rates\.parquet|/train-[^/]+\.parquet"
    r"|(?:^|/)\w+\.yaml))/"
)


class TableWriter(Protocol):
    """What a table is written with, piece by piece."""

    def write_table(self, table: pa.Table, row_group_size: int | None = None) -> None:
        """Write the next rows, in row groups of at most so many."""
        ...

    def add_key_value_metadata(self, notes: Mapping[str | bytes, str | bytes]) -> None:
        """Note in the file's footer what is known once all is written."""
        ...


class Storage:
    """Files under one root; every name is relative to it and must stay under it."""

    def __init__(self, root: str | Path) -> None:
        if not str(root).strip():
            raise UsageError("a run directory's name is empty: give a path or a URL")
        try:
            # What others write meanwhile is asked for, not remembered.
            self.fs, path = fsspec.core.url_to_fs(str(root), use_listings_cache=False)
        except ValueError as error:  # a protocol not known
            raise UsageError(f"no storage can be opened at {root}: {error}") from error
        except ImportError as error:
            package = getattr(error.__cause__, "name", None) or "the package of this storage"
            raise UsageError(
                f"no storage can be opened at {root}: {error}: pip install {package}"
            ) from error
        self.is_local = "file" in _protocols(self.fs)
        self.root = path
        self.url = path if self.is_local else str(root).rstrip("/")
        self._states: dict[str, str] = {}  # of remote files, as they were last listed

    def path(self, name: str) -> str:
        """The name's full path on this storage's filesystem."""
        assert ".." not in name.split("/"), name
        assert not name.startswith("/"), name
        return f"{self.root.rstrip('/')}/{name}" if name else self.root

    def exists(self, name: str) -> bool:
        """Whether a file or directory of that name exists."""
        return is_there(self.fs, self.path(name), remote=not self.is_local)

    def _patiently(self, work: Callable[[], R], name: str) -> R:
        return patiently(work, self.path(name), remote=not self.is_local)

    def files(self, folder: str) -> list[str]:
        """Names of the files under a folder, at any depth, sorted; dot names are left out.

        A directory that stands where a file of a run belongs is one of them, so that it is not
        taken for a file that is still to be made.
        """
        prefix = self.root.rstrip("/") + "/"
        found: Iterable[str]
        if self.is_local:
            found = local_files(self.path(folder))
        else:
            entries = find_files(self.fs, self.path(folder))
            self._note(folder, {name.removeprefix(prefix): each for name, each in entries.items()})
            found = entries
        names = {_up_to_file(each.removeprefix(prefix)) for each in found}
        return sorted(name for name in names if not name.startswith(".") and "/." not in name)

    def _note(self, folder: str, found: dict[str, dict[str, Any]]) -> None:
        under = f"{folder.rstrip('/')}/" if folder else ""
        self._states = {n: each for n, each in self._states.items() if not n.startswith(under)}
        for name, entry in found.items():
            state = next((str(entry[tag]) for tag in STATES if entry.get(tag)), None)
            if state is not None:
                self._states[name] = f"{state} {entry.get('size')}"

    def listed_state(self, name: str) -> str | None:
        """What the last listing told of a remote file that changes with its content, if any."""
        return self._states.get(name)

    def sizes(self) -> dict[str, int]:
        """Bytes of every file, by name; dot names too."""
        if not self.exists(""):
            return {}
        found = self._patiently(lambda: self.fs.find(self.root, detail=True), "")
        prefix = self.root.rstrip("/") + "/"
        return {str(n).removeprefix(prefix): int(e["size"] or 0) for n, e in found.items()}

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """Open a file to read bytes from; a pipe or a device, which might never end, is refused.

        Raises:
            DamagedFileError: what stands there is no file.
        """
        path = self.path(name)
        if self.is_local and not stat.S_ISREG(mode := Path(path).stat().st_mode):
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            raise self.fault(name)("a pipe or a device stands in its place")
        with self._opened(path) as file:
            yield file

    def _opened(self, path: str) -> BinaryIO:
        if self.is_local:  # Arrow reads its own kind of file without asking Python for each piece
            return cast(BinaryIO, patiently(lambda: pa.OSFile(path), path, remote=False))
        return cast(BinaryIO, PatientFile(self.fs, path))

    @contextmanager
    def writing(self, name: str, *, durable: bool = True, named: bool = True) -> Iterator[BinaryIO]:
        """Open a file to write; it appears, whole, when the block ends without an error.

        One that need not outlive a power cut (``durable=False``) is not waited for. ``named=False``
        waits for what is in it and not for its name: a power cut may leave no file, never half one.
        """
        if self.is_local:
            with self._writing_local(Path(self.path(name)), durable, named) as file:
                yield file
            return
        # fsspec's own files upload what they hold when they are closed, after an error as well.
        with tempfile.TemporaryDirectory(prefix="qibox-") as folder:
            local = Path(folder) / "file"
            with local.open("x+b") as file:
                yield file
            self._patiently(lambda: self.fs.put_file(str(local), self.path(name)), name)

    @contextmanager
    def _writing_local(self, path: Path, durable: bool, named: bool) -> Iterator[BinaryIO]:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        with naming(path), ExitStack() as undo:
            undo.callback(temporary.unlink, missing_ok=True)
            file = undo.enter_context(temporary.open("x+b"))
            yield file
            file.flush()
            undo.pop_all()
        self._when_whole(NewFile(file, temporary, path, durable, named))

    def _when_whole(self, file: NewFile) -> None:
        """Put a file that is whole under its final name."""
        file.stand()

    def settling(self) -> Callable[[], None]:
        """What waits until all files stand that were written here, and says if one does not.

        Here each stands as soon as it is written; see :class:`qibox.scoring.handing.ShardStorage`.
        """
        return lambda: None

    def read_text(self, name: str) -> str:
        """A file's text, without the seal that :meth:`write_mapping` puts.

        Raises:
            DamagedFileError: its bytes are no UTF-8, or not what was sealed.
        """
        with self.reading(name) as file:
            content = unsealed_text(file.read(), self.fault(name))
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.fault(name)(f"byte {error.start} is no UTF-8") from error

    def text_if_there(self, name: str) -> str | None:
        """A file's text as :meth:`read_text` has it; None, asked once, where there is no such file.

        Raises:
            DamagedFileError: as there.
        """
        try:
            return self.read_text(name)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_mapping(self, name: str) -> dict[str, Any]:
        """A YAML file's fields.

        Raises:
            DamagedFileError: it is no YAML, or holds something else.
        """
        try:
            content = parse_yaml(self.read_text(name))
        except (yaml.YAMLError, RecursionError) as error:
            raise self.fault(name)("it is not YAML") from error
        if not isinstance(content, dict):
            raise self.fault(name)("its fields are gone")
        return content

    def write_text(self, name: str, text: str, *, durable: bool = True) -> None:
        """Write a whole text file."""
        with self.writing(name, durable=durable) as file:
            file.write(text.encode("utf-8"))

    def write_mapping(self, name: str, fields: dict[str, Any]) -> None:
        """Write fields as YAML, sealed: a flipped bit in it is an error, never another value."""
        text = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
        self.write_text(name, sealed_text(text))

    def move(self, name: str, target: str) -> None:
        """Put a file under another name, which no file has yet."""
        source, place = self.path(name), self.path(target)
        self.fs.makedirs(place.rpartition("/")[0], exist_ok=True)
        if self.is_local:
            self.fs.mv(source, place)
            return
        self._patiently(lambda: self.fs.copy(source, place), name)  # a store has no rename
        self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a file or a directory with all it holds, if it is there."""
        path = self.path(name)
        with suppress(FileNotFoundError):  # removed by an attempt whose answer was lost
            if has_no_folders(self.fs):
                found = list(find_files(self.fs, path)) or path
                self._patiently(lambda: self.fs.rm(found), name)
            elif self.exists(name):
                self._patiently(lambda: self.fs.rm(path, recursive=True), name)

    def remove_file(self, name: str) -> None:
        """Remove a file, if it is there, and ask nothing first."""
        with suppress(FileNotFoundError):
            self._patiently(lambda: self.fs.rm_file(self.path(name)), name)

    def fault(self, name: str) -> Callable[[str], DamagedFileError]:
        """What makes the error of a damaged file out of what is wrong with it."""
        return partial(damaged, self.url, name, local=self.is_local)

    @contextmanager
    def parquet(self, name: str) -> Iterator[pq.ParquetFile]:
        """Open a Parquet file to read from; each byte is checked before it is decoded.

        Whoever reads batch by batch does so under :func:`qibox.run.mending.telling_damage`.

        Raises:
            DamagedFileError: the file is not what was written, at opening or at any reading.
        """
        with self.reading(name) as file:
            fault = self.fault(name)
            with telling_damage(fault):
                parquet = SealedParquet(SealedFile(file, fault))
            yield parquet

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Read a Parquet file, or some of its columns.

        Raises:
            DamagedFileError: the file is not what was written.
        """
        with self.parquet(name) as parquet, telling_damage(self.fault(name)):
            return parquet.read(columns=columns)

    def held(self, name: str, columns: Sequence[str]) -> pa.Table | None:
        """Those columns of a table that need not be read: it was made here. None: it is to be read.

        See :class:`qibox.scoring.handing.ShardStorage`.
        """
        return None

    def check_table(self, name: str) -> None:
        """Read all of a Parquet file and check it, decoding it only where it has no seal.

        Raises:
            DamagedFileError: the file is not what was written.
        """
        fault = self.fault(name)
        with self.reading(name) as file, telling_damage(fault):
            sealed = SealedFile(file, fault)
            parquet = SealedParquet(sealed)
            if sealed.is_sealed:
                sealed.check()
                return
            for _ in parquet.iter_batches():
                pass

    def write_table(self, name: str, table: pa.Table, key: str | None = None) -> None:
        """Write a Parquet file, with the key of the unit it completes in its metadata."""
        with self.table_writer(name, table.schema, key) as writer:
            writer.write_table(table)

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
        """Write a Parquet file batch by batch; its key and editions go into its metadata.

        After a power cut a table of the last seconds may be missing, which is a unit to do again;
        waiting for its name as well would take as long as making it.
        """
        notes = {KEY: key, EDITION: edition, MADE_OF: made_of}
        told = {name: text.encode() for name, text in notes.items() if text is not None}
        if told:
            schema = schema.with_metadata({**(schema.metadata or {}), **told})
        with self.writing(name, named=False) as file:
            # Arrow waits for Python's lock before each page that it hands to a file of Python's.
            with (
                pa.OSFile(file.name, mode="wb") as own,
                pq.ParquetWriter(own, schema, **PARQUET_OPTIONS) as writer,
            ):
                yield writer
            seal(file)

    def table_key(self, name: str) -> str | None:
        """The unit key in a Parquet file's metadata; None if there is no such whole file or key."""
        try:
            with self.parquet(name) as parquet:
                metadata = parquet.schema_arrow.metadata or {}
        except (FileNotFoundError, IsADirectoryError, DamagedFileError):  # its unit is not done
            return None
        key = metadata.get(KEY)
        return key.decode() if key else None


def _up_to_file(name: str) -> str:
    """A file's name, cut after a folder that is named as only files of a run are."""
    found = _IN_A_FILE.match(name)
    return found[1] if found else name


def _protocols(fs: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
