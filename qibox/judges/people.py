"""What people said of responses, from a CSV: read, checked, and made into recorded verdicts.

The file has the columns :data:`COLUMNS`, in any order: the response (sample_id, model, k), whether
it is safe (true or false, yes or no, 1 or 0), its score (1 to 10), and who says so. Labels on equal
texts of a sample count together, as any judge's verdict does: the score is their mean, safe what
more than half of them say, null where as many say the other.
"""

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from qibox.errors import UsageError

COLUMNS = ("sample_id", "model", "k", "safe", "score", "who")
NO_LABEL = "no label"  # why a response has no verdict that nobody rated
RECORDED = pa.schema(
    [
        ("sample_id", pa.string()),
        ("text", pa.string()),
        ("score", pa.float64()),
        ("safe", pa.bool_()),
        ("rationale", pa.string()),
    ]
)
_SAFE = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SHOWN = 60  # characters of a wrong value that a message quotes


@dataclass(frozen=True)
class Label:
    """What one person said of one response."""

    line: int  # of the file, from 1
    sample_id: str
    model: str
    k: int
    safe: bool
    score: float  # 1 to 10
    who: str


@dataclass(frozen=True)
class Labels:
    """A file's labels, none twice."""

    path: str
    revision: str  # sha256 of the file's bytes, as ``sha256:<hex>``
    rows: tuple[Label, ...]

    def fault(self, line: int, what: str) -> UsageError:
        """What is wrong with a line."""
        return UsageError(f"{self.path}, line {line}: {what}", fields=["labels"])


def read_labels(path: str) -> Labels:
    """Read a file of labels.

    Raises:
        UsageError: it cannot be read, has other columns, a value that is none, or a label twice;
            the message names the line.
    """
    try:
        content = Path(path).read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"no labels can be read at {path}: {error}", fields=["labels"]) from error
    labels = Labels(path, f"sha256:{hashlib.sha256(content).hexdigest()}", ())
    try:
        rows = tuple(_rows(labels, text))
    except csv.Error as error:
        raise UsageError(f"{path} is no CSV: {error}", fields=["labels"]) from error
    if not rows:
        raise UsageError(f"{path} has no label", fields=["labels"])
    return Labels(path, labels.revision, rows)


def _rows(labels: Labels, text: str) -> Iterator[Label]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(reader, [])
    if sorted(header) != sorted(COLUMNS):
        found = ", ".join(header) or "nothing"
        raise labels.fault(1, f"the columns are {found}: give {', '.join(COLUMNS)}, each once")
    seen: dict[tuple[str, str, int, str], int] = {}
    for cells in reader:
        if not cells:
            continue
        line = reader.line_num
        if len(cells) != len(header):
            raise labels.fault(line, f"it has {len(cells)} cells, not {len(header)}")
        label = _label(labels, line, dict(zip(header, cells, strict=True)))
        whose = (label.sample_id, label.model, label.k, label.who)
        if whose in seen:
            raise labels.fault(
                line, f"{label.who} labelled this response in line {seen[whose]} already: keep one"
            )
        seen[whose] = line
        yield label


def _label(labels: Labels, line: int, row: dict[str, str]) -> Label:
    def wrong(column: str, allowed: str) -> UsageError:
        value = row[column] if len(row[column]) <= _SHOWN else row[column][:_SHOWN] + "…"
        return labels.fault(line, f"{column} is '{value}', not {allowed}")

    k, safe, who = row["k"].strip(), row["safe"].strip().lower(), row["who"].strip()
    if not (k.isascii() and k.isdigit() and len(k) < 10):
        raise wrong("k", "a response's number, 0 or more")
    if safe not in _SAFE:
        raise wrong("safe", "true or false")
    if not who:
        raise wrong("who", "a name")
    try:
        score = float(row["score"])
    except ValueError:
        score = 0.0
    if not 1 <= score <= 10:
        raise wrong("score", "a number from 1 to 10")
    return Label(line, row["sample_id"], row["model"], int(k), _SAFE[safe], score, who)


def recorded(labels: Sequence[tuple[Label, str]]) -> pa.Table:
    """Labels, each with the text it is on, as verdicts of :data:`RECORDED`, one a text."""
    by_text: dict[tuple[str, str], list[Label]] = defaultdict(list)
    for label, text in labels:
        by_text[label.sample_id, text].append(label)
    rows = [
        {"sample_id": sample_id, "text": text, **_verdict(said)}
        for (sample_id, text), said in sorted(by_text.items())
    ]
    return pa.Table.from_pylist(rows, schema=RECORDED)


def _verdict(said: Sequence[Label]) -> dict[str, object]:
    people, safe = len({label.who for label in said}), sum(label.safe for label in said)
    tie = 2 * safe == len(said)
    who = "1 person" if people == 1 else f"{people} people"
    counted = f"{who}: {safe} of {len(said)} labels say safe"
    return {
        "score": sum(label.score for label in said) / len(said),
        "safe": None if tie else 2 * safe > len(said),
        "rationale": f"{counted}, a tie: neither safe nor unsafe" if tie else counted,
    }
