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
from qibox.run.layout import selection_path
from qibox.run.storage import Storage
from qibox.tables import IMAGE, SELECTION

LINEAGE = "selection.yaml"


def finished_selections(storage: Storage) -> dict[str, list[str]]:
    """The shards of each finished selection, in order, by its name; one listing for all."""
    parts = [file.split("/") for file in storage.files("selections")]
    finished = {name: list[str]() for _, name, *rest in parts if rest == [LINEAGE]}
    for _, name, *rest in parts:
        if name in finished and rest[:1] == ["data"] and rest[-1].endswith(".parquet"):
            finished[name].append(selection_path(name, "/".join(rest)))
    return finished


def selection_names(storage: Storage) -> list[str]:
    """Names of the run's finished selections, sorted."""
    return list(finished_selections(storage))


def selection_files(storage: Storage, name: str) -> list[str]:
    """Names of a finished selection's shards, in order.

    Raises:
        UsageError: there is no such selection, or none that is whole; the message names those that
            are there, and the command that makes one.
    """
    finished = finished_selections(storage)
    if name not in finished:
        there = f"it has {', '.join(finished)}" if finished else "it has none yet"
        raise UsageError(
            f"no selection named '{name}' in run {storage.url} ({there}): "
            f"`qibox select {storage.url}` makes one"
        )
    return finished[name]


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
