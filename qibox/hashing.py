"""Hashes of strings, columnar: equal strings have equal hashes, in every process.

DuckDB's `hash`: 64 bits, fast and not cryptographic. One database in memory serves the whole
process, as opening one takes longer than hashing a hundred thousand strings.
"""

from functools import cache

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]  # (rows,)


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})  # whoever hashes has threads of his own


def row_hashes(rows: pa.Table) -> Hashes:
    """A hash of each row, over all its columns in their order; any number of threads may call."""
    columns = ", ".join(f"c{number}" for number in range(rows.num_columns))
    with _database().cursor() as cursor:  # a connection serves one query at a time
        cursor.register("given", rows.rename_columns(columns.split(", ")))
        found = cursor.execute(f"SELECT hash({columns}) AS h FROM given").fetchnumpy()["h"]
    return np.asarray(found, dtype=np.uint64)
