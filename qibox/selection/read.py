"""Read what was selected: rows, digest, lineage and pictures of a finished selection.

Reads RUN/selections/<name>/data/train-*.parquet (:data:`qibox.tables.SELECTION`) and
selection.yaml, where :mod:`qibox.run.finished` finds them.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from qibox.run.finished import LINEAGE, selection_files
from qibox.run.layout import selection_path
from qibox.run.storage import Storage
from qibox.tables import IMAGE, SELECTION


def read_selection(
    storage: Storage, name: str, columns: Sequence[str] = SELECTION.names
) -> pa.Table:
    """Read a selection's rows: all columns of :data:`qibox.tables.SELECTION`, or some.

    Raises:
        UsageError: there is no such selection, or none that is whole.
    """
    schema = pa.schema([SELECTION.field(column) for column in columns])
    files = selection_files(storage, name)
    tables = [storage.read_table(file, columns=schema.names).cast(schema) for file in files]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def selection_digest(storage: Storage, name: str) -> str:
    """Return the sha256 of a selection's shards, in hex.

    Raises:
        UsageError: there is no such selection, or none that is whole.
    """
    digest = hashlib.sha256()
    for file in selection_files(storage, name):
        with storage.reading(file) as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def read_selection_lineage(storage: Storage, name: str) -> dict[str, Any] | None:
    """Lineage of a finished selection; None where there is none."""
    path = selection_path(name, LINEAGE)
    if not storage.exists(path):
        return None
    return storage.read_mapping(path)


def first_images(images: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the first picture of each row, null where a row has none; chunks as they were.

    ``images`` is a selection's column: lists of :data:`qibox.tables.IMAGE`.
    """
    return pa.chunked_array([_first(chunk) for chunk in images.chunks], IMAGE)


def _first(images: pa.ListArray) -> pa.Array:
    lengths = np.asarray(images.value_lengths().fill_null(0))  # (rows,)
    starts = np.asarray(images.offsets)[:-1]  # (rows,), absolute: a slice keeps its whole values
    return images.values.take(pa.array(starts, mask=lengths == 0))
