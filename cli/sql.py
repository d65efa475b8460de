"""`qibox sql`: ask a run in SQL."""

import sys
from typing import TYPE_CHECKING

import click

from qibox.cli.sql_dots import DOTS, answer_dot, is_dot
from qibox.cli.sql_rows import FORMATS, form_of, print_result, write_result
from qibox.cli.streams import as_utf8, read_text, write_utf8
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.opened import OpenRun

SHOWN, SHOWN_TYPED = 100, 10_000  # rows, unless told otherwise: printed, and through a pager


@click.command(short_help="Ask a run in SQL: why was a sample chosen, where do models waver?")
@click.argument("arguments", nargs=-1, metavar="[RUN] [QUERY]")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Form.  [default: table]")
@click.option("-o", "--out", metavar="FILE", help="Write all rows to FILE; its suffix says a form.")
@click.option(
    "--max-rows",
    type=click.IntRange(min=1),
    help=f"Rows that a table or markdown prints.  [default: {SHOWN}; typed: {SHOWN_TYPED}]",
)
@click.option("--export", metavar="FILE.duckdb", help="Write RUN as one DuckDB file of tables.")
@click.option("--pictures", is_flag=True, help="Of --export: with the pictures.")
def command(
    arguments: tuple[str, ...],
    form: str | None,
    out: str | None,
    max_rows: int | None,
    export: str | None,
    pictures: bool,
) -> None:
    """Ask RUN in SQL.

    Views: pool, responses, judgments, scores, selections, rejects, rollouts, evaluations, profiles
    and rates.

    Read-only. Without QUERY it is read from standard input, or typed at a prompt on a terminal (end
    a query with ; and see .help). A single argument with a space in it is a QUERY on the default
    run. csv, json, parquet and -o have all rows; any DuckDB client opens what --export writes.

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
      qibox sql "select * from judgments where not safe" -o unsafe.parquet
      qibox sql runs/mini --export mini.duckdb
    """
    import qibox
    from qibox.errors import UsageError

    run, query = split_arguments(arguments)
    if export is not None:
        if query is not None or out is not None or form is not None:
            raise UsageError("--export writes the whole run: leave out the query, --format and -o")
        write_export(run, export, pictures)
        return
    if pictures:
        raise UsageError("--pictures says what --export writes: give --export FILE.duckdb")
    form = form or ("table" if out is None else form_of(out))
    if form != "table":
        write_utf8(sys.stdout)
    with qibox.open(run) as opened:
        if query is None and sys.stdin.isatty():
            if out is not None:
                raise UsageError(f"-o {out} takes the rows of one query: give it as an argument")
            from qibox.cli.sql_typed import interact

            interact(opened, form, max_rows or SHOWN_TYPED)
            return
        text = read_text(sys.stdin) if query is None else as_utf8(query)
        answer(opened, text, form, max_rows or SHOWN, out)


def answer(opened: "OpenRun", text: str, form: str, max_rows: int, out: str | None) -> None:
    """Answer one query, or what begins with a dot; to a file where one is named."""
    from qibox.cli import console

    if is_dot(text):
        click.echo(answer_dot(opened, text))
    elif out is None:
        print_result(opened, text, form, max_rows)
    else:
        write_result(opened, text, form, out)
        console.err.print(f"wrote {out}", highlight=False, markup=False, soft_wrap=True)


def write_export(run: str, file: str, pictures: bool) -> None:
    """Write a run as a DuckDB file, table after table."""
    from pathlib import Path

    from qibox.catalog.export import export_run
    from qibox.cli import console
    from qibox.run.directory import Run

    def tell(table: str, rows: int) -> None:
        console.err.print(f"{table}: {rows:,} rows", highlight=False, markup=False)

    export_run(Run.open_below(run), Path(file), pictures, tell)
    console.err.print(f"wrote {file}", highlight=False, markup=False, soft_wrap=True)


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
    return (DEFAULT_RUN, only) if len(only.split()) > 1 or only in DOTS else (only, None)
