"""`qibox sql`: ask a run in SQL."""

import csv
import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import click

from qibox.cli.cells import cell, plain, printable
from qibox.cli.streams import as_utf8, read_text, write_utf8
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    import pyarrow as pa

    from qibox.opened import OpenRun

FORMATS = ("table", "csv", "json", "markdown")
EXPLAINED = ["explain_key", "explain_value"]  # columns of EXPLAIN's answer
NARROW = 20  # characters; such a column is not folded, so that ids stay whole
PROMPT, MORE = "qibox> ", "   ... "


@click.command(short_help="Ask a run in SQL: why was a sample chosen, where do models waver?")
@click.argument("arguments", nargs=-1, metavar="[RUN] [QUERY]")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Form."
)
@click.option(
    "--max-rows",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Rows that a table or markdown shows; csv and json have all.",
)
def command(arguments: tuple[str, ...], form: str, max_rows: int) -> None:
    """Ask RUN in SQL.

    Views: pool, responses, judgments, scores, selections, rejects, rollouts and evaluations.

    Read-only. Without QUERY it is read from standard input, or line by line on a terminal (end a
    query with ;). A single argument with a space in it is a QUERY on the default run.

    \b
    Examples:
      qibox sql "select * from scores order by instability desc limit 5"
      qibox sql runs/mini "select model, avg(score) from judgments group by all order by 2"
      qibox sql "describe rollouts"
      # why was a sample chosen, and where do the models disagree on it?
      qibox sql "select sample_id, quality, instability from selections limit 5"
      qibox sql "select model, avg(score), stddev_pop(score) from judgments
                 where sample_id = 'mini-000007' group by model order by 2"
      qibox sql "select reason, count(*) from rejects group by all" --format csv
      # which held-out answers did training make unsafe?
      qibox sql "select sample_id, text from evaluations where stage = 'trained' and not safe"
    """
    import qibox

    run, query = split_arguments(arguments)
    if form != "table":
        write_utf8(sys.stdout)
    with qibox.open(run) as opened:
        if query is not None:
            print_result(opened, as_utf8(query), form, max_rows)
        elif sys.stdin.isatty():
            interact(opened, form, max_rows)
        else:
            print_result(opened, read_text(sys.stdin), form, max_rows)


def split_arguments(arguments: tuple[str, ...]) -> tuple[str, str | None]:
    """Tell RUN from QUERY; one argument is a query if it has white space, else a run.

    Raises:
        UsageError: more than two arguments.
    """
    from qibox.errors import UsageError

    if len(arguments) > 2:
        raise UsageError(
            f"{len(arguments)} arguments were given, at most RUN and QUERY are allowed: "
            "put the query in quotes"
        )
    if len(arguments) == 2:
        return arguments[0], arguments[1]
    if not arguments:
        return DEFAULT_RUN, None
    (only,) = arguments
    return (DEFAULT_RUN, only) if len(only.split()) > 1 else (only, None)


def interact(opened: "OpenRun", form: str, max_rows: int) -> None:
    r"""Answer each query that is typed; an error ends only that query."""
    from qibox.cli import console
    from qibox.errors import QiboxError

    console.err.print(r"End a query with ;   \q leaves.  Try: show tables;", highlight=False)
    for query in read_queries():
        try:
            print_result(opened, query, form, max_rows)
        except QiboxError as error:
            console.err.print(f"Error: {error}", highlight=False, markup=False)


def read_queries() -> Iterator[str]:
    r"""Yield each query that is typed, up to its semicolon, until \q or the end of input."""
    import readline  # noqa: F401  gives input() its history and editing

    lines: list[str] = []
    while True:
        try:
            line = input(MORE if lines else PROMPT)
        except EOFError:
            return
        except KeyboardInterrupt:
            click.echo(err=True)
            lines = []
            continue
        if line.strip() in (r"\q", "exit", "quit") and not lines:
            return
        lines.append(line)
        if line.rstrip().endswith(";"):
            yield "\n".join(lines)
            lines = []
        elif not "".join(lines).strip():
            lines = []


def print_result(opened: "OpenRun", query: str, form: str, max_rows: int) -> None:
    """Run a query and print its rows; bytes are shown by their number alone."""
    from qibox.cli import console

    batches = opened.batches(query)
    names = batches.schema.names
    rows = (tuple(row.values()) for batch in batches for row in _rows(batch, names))
    if form == "csv":
        _print_csv(names, rows)
    elif form == "json":
        _print_json(names, rows)
    else:
        shown = list(islice(rows, max_rows))
        (_print_markdown if form == "markdown" else _print_table)(names, shown)
        if next(rows, None) is not None:
            console.err.print(f"the first {max_rows} rows; --max-rows shows more", highlight=False)


def _rows(batch: "pa.RecordBatch", names: list[str]) -> Iterator[dict[str, Any]]:
    # Numbered, so that two columns of one name are both there.
    numbered = batch.rename_columns([str(i) for i in range(len(names))])
    for row in numbered.to_pylist():
        yield {name: plain(value) for name, value in row.items()}


def _print_csv(names: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    """Print values as they are to a file or a pipe; a terminal gets no control characters."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for row in rows:  # null is an empty field
        texts = (
            json.dumps(v, ensure_ascii=False) if isinstance(v, dict | list) else v for v in row
        )
        writer.writerow(_for_terminal(text) for text in texts)


def _for_terminal(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and sys.stdout.isatty() else value


def _print_json(names: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    """Print one object a line."""
    for row in rows:
        fields = dict(zip(names, row, strict=True))
        click.echo(_for_terminal(json.dumps(fields, ensure_ascii=False)))


def _print_markdown(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    for values in (names, ["---"] * len(names), *rows):
        texts = (cell(value).replace("|", "\\|").replace("\n", " ") for value in values)
        click.echo(f"| {' | '.join(texts)} |")


def _print_table(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from qibox.cli import console

    if names == EXPLAINED:  # a drawing, which a table would fold
        for _, drawing in rows:
            click.echo(printable(str(drawing)).rstrip())
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
    console.out.print(table)
