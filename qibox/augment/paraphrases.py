"""Other wordings of questions, in a file of the user's: CSV or Parquet, sample_id and question."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from qibox.errors import UsageError

COLUMNS = ["sample_id", "question"]
TYPES = {name: pa.string() for name in COLUMNS}


@dataclass(frozen=True)
class Paraphrases:
    """Wordings, in the order of the file."""

    file: str  # its name
    sha256: str  # of its bytes
    rows: pa.Table  # sample_id, question

    def of(self, chosen: pa.Array) -> "Paraphrases":
        """Those of chosen samples alone.

        Raises:
            UsageError: there is none.
        """
        rows = self.rows.filter(pc.is_in(self.rows["sample_id"], value_set=chosen))
        if not len(rows):
            raise UsageError(
                f"{self.file} words none of the {len(chosen)} chosen samples otherwise: its "
                f"sample_id are such as '{self.rows['sample_id'][0]}', those of the run such as "
                f"'{chosen[0]}'",
                fields=["paraphrases"],
            )
        return Paraphrases(self.file, self.sha256, rows)

    @property
    def lineage(self) -> dict[str, Any]:
        """What determines the variants."""
        return {"file": self.file, "sha256": self.sha256, "questions": len(self.rows)}


def read_paraphrases(path: str) -> Paraphrases:
    """Read a file of wordings.

    Raises:
        UsageError: there is none, it has other columns, or a question in it is empty.
    """
    try:
        content = Path(path).read_bytes()
        if Path(path).suffix == ".parquet":
            table = pq.read_table(pa.BufferReader(content))
        else:
            options = pyarrow.csv.ConvertOptions(column_types=TYPES, strings_can_be_null=False)
            parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
            table = pyarrow.csv.read_csv(
                pa.BufferReader(content), parse_options=parse, convert_options=options
            )
    except (OSError, pa.ArrowInvalid) as error:
        raise _wrong(path, f"cannot be read ({str(error).splitlines()[0]})") from error
    if missing := set(COLUMNS) - set(table.column_names):
        raise _wrong(path, f"has no column {min(missing)}")
    rows = table.select(COLUMNS).cast(pa.schema(TYPES.items()))
    blank = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(rows["question"], "")), "")
    if not len(rows) or pc.any(blank).as_py():
        raise _wrong(path, "has an empty question" if len(rows) else "is empty")
    return Paraphrases(Path(path).name, hashlib.sha256(content).hexdigest(), rows)


def _wrong(path: str, what: str) -> UsageError:
    return UsageError(
        f"{path} {what}: give CSV or Parquet with the columns {' and '.join(COLUMNS)}",
        fields=["paraphrases"],
    )
