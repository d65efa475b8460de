"""A run as one DuckDB file of plain tables, for clients that know nothing of runs.

The rows are read through the run's checked views; the file is written by a database of its own, so
nothing that a person asks ever has a connection that can write.
"""

import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import duckdb

from qibox.catalog.about import ABOUT
from qibox.catalog.connect import VIEWS, reading
from qibox.errors import UsageError
from qibox.run.directory import Run
from qibox.stopping import on_stop

ROWS: Final = 50_000  # handed from one database to the other at a time
FORMAT: Final = "v1.0.0"  # DuckDB's own; every client since reads it
PICTURES: Final = {"pool": "image", "selections": "images"}


def export_run(
    run: Run, file: Path, pictures: bool = False, progress: Callable[[str, int], None] | None = None
) -> dict[str, int]:
    """Write every view as a table; how many rows each has. The file is whole, or not there.

    Pictures are left out unless asked for. ``progress`` is told of each table that is done, with
    its rows.

    Raises:
        UsageError: something of that name is there, or its folder is not.
    """
    if file.exists():
        raise UsageError(f"{file} is there already: remove it, or give another name")
    if not file.parent.is_dir():
        raise UsageError(f"{file} has no folder to be in: make {file.parent} first")
    staged = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        counts = _write(run, staged, pictures, progress)
        with staged.open("rb") as written:
            os.fsync(written.fileno())
        staged.replace(file)
    finally:
        for suffix in ("", ".wal"):
            Path(f"{staged}{suffix}").unlink(missing_ok=True)
        shutil.rmtree(f"{staged}.tmp", ignore_errors=True)
    return counts


def _write(
    run: Run, staged: Path, pictures: bool, progress: Callable[[str, int], None] | None
) -> dict[str, int]:
    counts = {}
    with reading(run) as source, closing(duckdb.connect(":memory:")) as target:
        target.execute("set python_enable_replacements = false")
        with on_stop(target.interrupt):
            target.execute(f"attach {_quoted(str(staged))} as made (storage_version '{FORMAT}')")
            for view in VIEWS:
                counts[view] = _copy(source, target, view, pictures)
                if progress is not None:
                    progress(view, counts[view])
            target.execute("detach made")
    return counts


def _copy(
    source: duckdb.DuckDBPyConnection, target: duckdb.DuckDBPyConnection, view: str, pictures: bool
) -> int:
    without = PICTURES.get(view)
    columns = "*" if pictures or without is None else f"* exclude ({without})"
    rows = source.sql(f"select {columns} from {view}").to_arrow_reader(ROWS)
    target.register("rows_of_run", rows)
    target.execute(f"create table made.{view} as from rows_of_run")
    target.unregister("rows_of_run")
    target.execute(f"comment on table made.{view} is {_quoted(ABOUT[view])}")
    ((count,),) = target.execute(f"select count(*) from made.{view}").fetchall()
    return int(count)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
