"""Editions: which content of a file its dependents were made of.

A unit's key tells what its rows were asked for, not what came back. Rows that failed may be asked
for again, and then the file stands under the same key with another content: another edition, the
hash of all that was put in since the file was first written. A file notes its own edition, and the
editions of the files that it was made of; so footers alone tell that a file has yet to follow what
was mended before it. Nothing else is written down, and no order has to be kept: killed at any
moment, or by a power cut that takes back some names, each file is the old one or the new one, and
what has to follow is known from them.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from qibox.run.storage import EDITION
from qibox.run.units import digest, table_hash


def next_edition(before: str | None, rows: pa.Table) -> str:
    """The edition of a file into which these rows were put; ``before``: None if it had none yet."""
    return digest({"before": before, "rows": table_hash(rows)})


def joint_edition(editions: Sequence[str | None]) -> str | None:
    """One word for the editions of several files; None if none of them was ever mended."""
    return digest(list(editions)) if any(editions) else None


def edition_of(parquet: pq.ParquetFile) -> str | None:
    """The edition of an open file; None if it stands as it was first written."""
    edition = (parquet.schema_arrow.metadata or {}).get(EDITION)
    return edition.decode() if edition else None
