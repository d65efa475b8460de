"""A run's Parquet files as a dataset whose bytes are checked before a query decodes them.

Arrow's reader of local files knows of the pages' checksums alone, DuckDB's not even of those; see
:mod:`qibox.run.seal`. So what a scan is going to read is read and compared with the seals first.
An exception that a file system in Python raised during the scan would not do: Arrow's scanner and
Python's lock then wait for each other. On an object store, which keeps checksums of its own,
footers and pages are checked but not the pages' headers, or all would be fetched twice.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq

from qibox.run.mending import telling_damage
from qibox.run.patience import PatientHandler
from qibox.run.reading import side_by_side
from qibox.run.seal import SealedFile, SealedParquet
from qibox.run.storage import Storage

WHOLE = 1 << 22  # bytes; a smaller file is checked whole, whichever columns are wanted

CHECKED_PARQUET = ds.ParquetFileFormat(  # each page is compared with its checksum, if it has one
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)

Part = tuple[str, ds.Expression | None]  # a file, and the columns that all its rows share, if any


class CheckedDataset(ds.FileSystemDataset):  # type: ignore[misc]  # pyarrow is untyped
    """Files that are checked when they are scanned, each column once."""

    storage: Storage
    checked: dict[str, set[str] | None]  # by file: which columns were, or all of them

    @classmethod
    def of(cls, storage: Storage, schema: pa.Schema, parts: Iterable[Part]) -> Self:
        """Files with the given columns; a column that a file lacks reads as null."""
        filesystem = (
            pyarrow.fs.LocalFileSystem()
            if storage.is_local
            else pyarrow.fs.PyFileSystem(PatientHandler(storage.fs))
        )
        make = CHECKED_PARQUET.make_fragment
        fragments = [
            make(storage.path(name), filesystem, partition_expression=shared)
            for name, shared in parts
        ]
        made = cls(fragments, schema, CHECKED_PARQUET, filesystem)
        made.storage = storage
        made.checked = {}
        return made

    def scanner(
        self, columns: Sequence[str] | None = None, filter: ds.Expression | None = None, **more: Any
    ) -> ds.Scanner:
        """Check what these columns of these files hold, then scan them.

        Raises:
            DamagedFileError: a file is not what was written.
        """
        wanted = set(self.schema.names if columns is None else columns)
        if filter is not None:  # its columns are read too; only its text tells which these may be
            wanted |= {name for name in self.schema.names if name in str(filter)}
        prefix = self.storage.root.rstrip("/") + "/"
        names = [f.path.removeprefix(prefix) for f in self.get_fragments(filter)]
        for _ in side_by_side(lambda name: self._check(name, wanted), names):
            pass
        return super().scanner(columns=columns, filter=filter, **more)

    def _check(self, name: str, columns: set[str]) -> None:
        before = self.checked.get(name, set())
        if before is None or columns <= before:
            return
        fault = self.storage.fault(name)
        with self.storage.reading(name) as file, telling_damage(fault):
            sealed = SealedFile(file, fault)
            if not self.storage.is_local or not sealed.is_sealed:
                self.checked[name] = None
                return
            if sealed.size <= WHOLE:
                sealed.check()
                self.checked[name] = None
                return
            for start, stop in _spans(SealedParquet(sealed).metadata, columns):
                sealed.check(start, stop)
        self.checked[name] = before | columns


def _spans(metadata: pq.FileMetaData, columns: set[str]) -> Iterable[tuple[int, int]]:
    """Where the pages of some columns lie, nested ones by the name at their top."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            if chunk.path_in_schema.partition(".")[0] in columns:
                start = chunk.data_page_offset
                if chunk.dictionary_page_offset is not None:
                    start = min(start, chunk.dictionary_page_offset)
                yield start, start + chunk.total_compressed_size
