"""The rows of a query as a table, CSV, JSON, Markdown or Parquet: on the terminal or in a file."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, TextIO

from qibox.cli.cells import cell, plain, printable
from qibox.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from qibox.opened import OpenRun

FORMATS: Final = ("table", "csv", "json", "markdown", "parquet")
SUFFIXES: Final = {  # of a file that rows are written to, and the form that they say
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".md": "markdown",
    ".parquet": "parquet",
    ".txt": "table",
}
EXPLAINED = ["explain_key", "explain_value"]  # columns of EXPLAIN's answer
NARROW = 20  # characters; such a column is not folded, so that ids stay whole

Rows = Iterator[tuple[Any, ...]]


def form_of(file: str) -> str:
    """The form that a file's name says.

    Raises:
        UsageError: none of those that there are.
    """
    suffix = PurePath(file).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"-o {file} does not say a form: end it in {', '.join(SUFFIXES)}, or give --format"
        )
    return SUFFIXES[suffix]


def print_result(
    opened: "OpenRun",
    query: str,
    form: str,
    max_rows: int,
    show: Callable[[str], None] | None = None,
) -> None:
    """Run a query and print its rows; except in Parquet, bytes are shown by their number alone.

    ``show`` is given a table or Markdown, whole, in place of the terminal.

    Raises:
        UsageError: not a single reading statement, or DuckDB cannot run it; Parquet on a terminal.
    """
    from qibox.cli import console

    if form == "parquet":
        if sys.stdout.isatty():
            raise UsageError("Parquet is nothing to look at: give -o FILE.parquet, or a pipe")
        _write_parquet(opened.batches(query), sys.stdout.buffer)
        return
    names, rows = _answer(opened, query)
    if form in ("csv", "json"):
        (_write_csv if form == "csv" else _write_json)(names, rows, sys.stdout)
        return
    shown = list(islice(rows, max_rows))
    write = _write_markdown if form == "markdown" else _write_table
    if show is None:
        write(names, shown, console.out)
    else:
        with console.out.capture() as captured:
            write(names, shown, console.out)
        show(captured.get())
    if next(rows, None) is not None:
        console.err.print(f"the first {max_rows} rows; --max-rows shows more", highlight=False)


def write_result(opened: "OpenRun", query: str, form: str, file: str) -> None:
    """Run a query and write all its rows to a file: whole, or not at all.

    Raises:
        UsageError: not a single reading statement, or DuckDB cannot run it; there is no such
            folder, or Parquet cannot hold such columns.
    """
    from qibox.run.storage import Storage

    where = Path(file)
    if not where.parent.is_dir():
        raise UsageError(f"-o {file} has no folder to be in: make {where.parent} first")
    if where.is_dir():
        raise UsageError(f"-o {file} is a folder: name a file in it")
    with Storage(where.parent).writing(where.name) as target:
        if form == "parquet":
            _write_parquet(opened.batches(query), target)
        else:
            _write_text(*_answer(opened, query), form, target)


def _write_text(names: list[str], rows: Rows, form: str, target: BinaryIO) -> None:
    from rich.console import Console

    from qibox.cli.console import PIPED_WIDTH

    text = io.TextIOWrapper(target, "utf-8", "backslashreplace", newline="")
    if form in ("csv", "json"):
        (_write_csv if form == "csv" else _write_json)(names, rows, text)
    else:
        write = _write_markdown if form == "markdown" else _write_table
        write(names, list(rows), Console(file=text, width=PIPED_WIDTH))
    text.flush()
    text.detach()  # the file is closed by who opened it


def _answer(opened: "OpenRun", query: str) -> tuple[list[str], Rows]:
    batches = opened.batches(query)
    names = batches.schema.names
    return names, (row for batch in batches for row in _rows(batch, names))


def _rows(batch: "pa.RecordBatch", names: list[str]) -> Rows:
    # Numbered, so that two columns of one name are both there.
    numbered = batch.rename_columns([str(i) for i in range(len(names))])
    for row in numbered.to_pylist():
        yield tuple(plain(value) for value in row.values())


def _write_parquet(batches: "pa.RecordBatchReader", target: BinaryIO) -> None:
    """Values as they are, pictures too."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from qibox.run.storage import PARQUET_OPTIONS

    names = batches.schema.names
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"two columns are named {twice[0]}: give one another name with AS")
    try:
        writer = pq.ParquetWriter(target, batches.schema, **PARQUET_OPTIONS)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise UsageError(f"Parquet cannot hold such a column ({error}): cast it") from error
    with writer:
        for batch in batches:
            writer.write_batch(batch)


def _write_csv(names: list[str], rows: Rows, out: TextIO) -> None:
    """Write values as they are to a file or a pipe; a terminal gets no control characters."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in rows:  # null is an empty field
        texts = (
            json.dumps(v, ensure_ascii=False) if isinstance(v, dict | list) else v for v in row
        )
        writer.writerow(_fit_for(out, text) for text in texts)


def _fit_for(out: TextIO, value: Any) -> Any:
    return printable(value) if isinstance(value, str) and out.isatty() else value


def _write_json(names: list[str], rows: Rows, out: TextIO) -> None:
    """Write one object a line."""
    for row in rows:
        fields = dict(zip(names, row, strict=True))
        out.write(_fit_for(out, json.dumps(fields, ensure_ascii=False)) + "\n")


def _write_markdown(names: list[str], rows: list[tuple[Any, ...]], console: "Console") -> None:
    for values in (names, ["---"] * len(names), *rows):
        texts = (cell(value).replace("|", "\\|").replace("\n", " ") for value in values)
        line = f"| {' | '.join(texts)} |"
        console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _write_table(names: list[str], rows: list[tuple[Any, ...]], console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    if names == EXPLAINED:  # a drawing, which a table would fold
        for _, drawing in rows:
            console.print(Text(printable(str(drawing)).rstrip()), soft_wrap=True)
        return
    table = Table()
    for place, name in enumerate(names):
        numeric = any(isinstance(row[place], int | float) for row in rows)
        narrow = all(len(cell(row[place])) <= NARROW for row in rows)
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(Text(name), justify=justify, overflow="fold", no_wrap=narrow)
    for row in rows:
        # Text, not markup: what a model wrote must not colour the terminal or steer it.
        table.add_row(*(Text(cell(value)) for value in row))
    console.print(table)
