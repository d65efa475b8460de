"""Embeddings of a model of the user's: a Parquet file with one vector a sample."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from qibox.coverage.vectors import Vectors, whole
from qibox.errors import UsageError

ID = "sample_id"
HOW = f"give a Parquet file with a column {ID} and one of vectors"


def read_embeddings(path: str) -> Vectors:
    """Read a file of vectors: a column ``sample_id`` and one column of lists of numbers.

    Raises:
        UsageError: there is no such file, or its columns, ids or vectors are otherwise.
    """
    try:
        table = pq.read_table(path, partitioning=None)
        content = Path(path).read_bytes()
    except (OSError, pa.ArrowInvalid) as error:
        raise _wrong(path, f"cannot be read ({str(error).splitlines()[0]})") from error
    lists = [field.name for field in table.schema if _is_vector(field.type)]
    if ID not in table.column_names or len(lists) != 1:
        raise _wrong(path, f"has the columns {', '.join(table.column_names)}")
    ids = table[ID].cast(pa.string()).combine_chunks()
    if ids.null_count or len(ids.unique()) < len(ids):
        raise _wrong(path, f"has a {ID} that is null or there twice")
    vectors = _matrix(path, ids, table[lists[0]].combine_chunks())
    about = {
        "file": Path(path).name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "numbers": vectors.shape[1],
    }
    return Vectors(ids, whole(vectors), about)


def _is_vector(kind: pa.DataType) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(check(kind) for check in lists):
        return False
    number = kind.value_type
    return bool(pa.types.is_floating(number) or pa.types.is_integer(number))


def _matrix(path: str, ids: pa.Array, column: pa.Array) -> npt.NDArray[np.float32]:
    """(n, d), the numbers as they are."""
    values = column.flatten().cast(pa.float32()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    width = len(values) // max(len(column), 1)
    if column.null_count or not width or set(column.value_lengths().to_pylist()) != {width}:
        raise _wrong(path, "has vectors that are null, empty or of several lengths")
    matrix: npt.NDArray[np.float32] = values.reshape(len(column), width)
    if len(bad := np.flatnonzero(~np.isfinite(matrix).all(axis=1))):
        raise _wrong(path, f"has a number that is not finite in the vector of {ids[int(bad[0])]}")
    return matrix


def _wrong(path: str, what: str) -> UsageError:
    return UsageError(f"{path} {what}: {HOW}", fields=["embeddings"])
