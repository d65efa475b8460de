"""Reads JSON lines, JSON lists and CSV as records; a line that cannot be read costs itself alone.

Reads a local file or any URL that fsspec knows, streamed (but a JSON list, whole).
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, BinaryIO, cast

import fsspec

from qibox.errors import UsageError
from qibox.pool.one_by_one import Record

MAX_LINE = 16 << 20  # bytes; our choice: a line holds text and a path, not a picture


@contextmanager
def opened(path: str, pool: str) -> Iterator[BinaryIO]:
    """Open a pool's file.

    Raises:
        UsageError: there is no such file, or it cannot be opened.
    """
    try:
        with fsspec.open(path, "rb") as file:
            yield cast(BinaryIO, file)
    except FileNotFoundError as error:
        raise UsageError(f"pool {pool}: no file at {path}: check `path`") from error
    except IsADirectoryError as error:
        raise UsageError(f"pool {pool}: {path} is a directory, a file is needed") from error
    except PermissionError as error:
        raise UsageError(f"pool {pool}: {path} may not be read: check its permissions") from error


def read_jsonl(path: str, pool: str) -> Iterator[Record]:
    """Yield one record a line; blank lines are passed over and not counted."""
    with opened(path, pool) as file:
        number = 0
        while line := file.readline(MAX_LINE):
            whole = line.endswith(b"\n") or len(line) < MAX_LINE
            if not whole:
                _skip_line(file)
            elif not line.strip():
                continue
            yield (
                _parsed(number, line)
                if whole
                else Record(number, {}, f"line has more than {MAX_LINE} bytes")
            )
            number += 1


def _skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
        pass


def _parsed(number: int, line: bytes) -> Record:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Record(number, {}, "line is not UTF-8")
    except (ValueError, RecursionError) as error:
        return Record(number, {}, f"line is not JSON: {error}")
    return as_record(number, value)


def as_record(number: int, value: Any) -> Record:
    """A parsed JSON value as a record; anything but an object is a fault."""
    if isinstance(value, dict):
        return Record(number, value)
    return Record(number, {}, f"record is a JSON {type(value).__name__}, not an object")


def read_json(path: str, pool: str) -> Any:
    """A JSON file's value.

    Raises:
        UsageError: no such file, or not JSON.
    """
    with opened(path, pool) as file:
        try:
            return json.loads(file.read().decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise UsageError(f"pool {pool}: {path} is not JSON: {error}") from error


def read_json_list(path: str, pool: str) -> Iterator[Record]:
    """Yield the records of a JSON list.

    Raises:
        UsageError: the file's value is no list.
    """
    value = read_json(path, pool)
    if not isinstance(value, list):
        raise UsageError(
            f"pool {pool}: {path} holds a JSON {type(value).__name__}, a list of objects is needed"
        )
    for number, item in enumerate(value):
        yield as_record(number, item)


def read_csv(path: str, pool: str) -> Iterator[Record]:
    """Yield one record a row, by the names in the header, which tells comma, semicolon or tab.

    Raises:
        UsageError: no such file, an empty one, or a header that uses a name twice.
    """
    csv.field_size_limit(MAX_LINE)
    with opened(path, pool) as file:
        text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
        head = text.readline(MAX_LINE)
        reader = csv.reader(chain([head], text), delimiter=_delimiter(path, head), strict=True)
        header = _next_row(reader)
        if isinstance(header, csv.Error):
            raise UsageError(f"pool {pool}: the first row of {path} is not CSV: {header}")
        if not header:
            raise UsageError(f"pool {pool}: {path} is empty: its first row must name the columns")
        twice = [name for name, count in Counter(header).items() if count > 1 and name]
        if twice:
            raise UsageError(f"pool {pool}: {path} has two columns '{twice[0]}': rename one")
        number, line = 0, reader.line_num
        while (cells := _next_row(reader)) is not None:
            # A quote that nothing closes takes all lines after it: each is a row that was lost.
            lost = reader.line_num - line if isinstance(cells, csv.Error) else 1
            for _ in range(lost if cells else 0):
                yield _row(number, line + 1, header, cells)
                number += 1
            line = reader.line_num


def _delimiter(path: str, head: str) -> str:
    """The comma, semicolon or tab that the header has most of; in a .tsv a tab comes first."""
    unquoted = re.sub(r'"[^"]*"', "", head)
    if path.lower().endswith(".tsv") and "\t" in unquoted:
        return "\t"
    return max(",;\t", key=unquoted.count)


def _next_row(reader: Iterator[list[str]]) -> list[str] | csv.Error | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        return error


def _row(number: int, line: int, header: list[str], cells: list[str] | csv.Error) -> Record:
    if isinstance(cells, csv.Error):
        why = "a quote opens and none closes it" if "end of data" in str(cells) else str(cells)
        return Record(number, {}, f"row is not CSV: from line {line} on {why}")
    if len(cells) != len(header):
        return Record(number, {}, f"row has {len(cells)} fields, the header {len(header)}")
    return Record(number, dict(zip(header, cells, strict=True)))
