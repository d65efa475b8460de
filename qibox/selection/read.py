"""Read what was selected: names, files, rows, digest, lineage and pictures of a finished selection.

Reads RUN/selections/<name>/data/train-*.parquet (:data:`qibox.tables.SELECTION`) and
selection.yaml. The latter is written last: without it a selection is not there.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from qibox.errors import UsageError
from qibox.run.storage import Storage
from qibox.tables import IMAGE, SELECTION

LINEAGE = "selection.yaml"


def selection_folder(name: str) -> str:
    """Where a selection lies in its run."""
    return f"selections/{name}"


def selection_names(storage: Storage) -> list[str]:
    """Names of the run's finished selections, sorted."""
    found = (file.split("/")[1:] for file in storage.files("selections"))
    return [name for name, *rest in found if rest == [LINEAGE]]


def require_selection(storage: Storage, name: str) -> None:
    """Refuse a name that no finished selection has.

    Raises:
        UsageError: the message names those that are there, and the command that makes one.
    """
    made = selection_names(storage)
    if name not in made:
        there = f"it has {', '.join(made)}" if made else "it has none yet"
        raise UsageError(
            f"no selection named '{name}' in run {storage.url} ({there}): "
            f"`qibox select {storage.url}` makes one"
        )


def selection_files(storage: Storage, name: str) -> list[str]:
    """Names of a finished selection's shards, in order.

    Raises:
        UsageError: there is no such selection, or none that is whole.
    """
    require_selection(storage, name)
    files = storage.files(f"{selection_folder(name)}/data")
    return [file for file in files if file.endswith(".parquet")]


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
    path = f"{selection_folder(name)}/{LINEAGE}"
    if not storage.exists(path):
        return None
    content: dict[str, Any] = yaml.safe_load(storage.read_text(path))
    return content


def first_images(images: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the first picture of each row, null where a row has none; chunks as they were.

    ``images`` is a selection's column: lists of :data:`qibox.tables.IMAGE`.
    """
    return pa.chunked_array([_first(chunk) for chunk in images.chunks], IMAGE)


def _first(images: pa.ListArray) -> pa.Array:
    lengths = np.asarray(images.value_lengths().fill_null(0))  # (rows,)
    starts = np.asarray(images.offsets)[:-1]  # (rows,), absolute: a slice keeps its whole values
    return images.values.take(pa.array(starts, mask=lengths == 0))
