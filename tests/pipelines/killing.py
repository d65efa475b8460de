"""Start `qibox` as a person does, kill it, and see what stands then."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from qibox.run.storage import Storage
from tests.forked import SCORING, Forked, start

TABLES = ("responses", "judgments", "scores")

Files = dict[str, tuple[int, int]]  # by path: inode, and time of the last change in nanoseconds


def start_qibox(*arguments: object, cwd: Path | None = None) -> "subprocess.Popen[bytes]":
    """Start a command; what it says on stderr is kept."""
    command = [sys.executable, "-P", "-m", "qibox.cli"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def forked_qibox(*arguments: object, cwd: Path | None = None) -> Forked:
    """Start the same command where it is started dozens of times: without its imports."""
    return start(SCORING, "tests.pipelines.killing:be_qibox", *arguments, cwd=cwd)


def be_qibox(*arguments: str) -> None:
    """Be the command in a process of its own."""
    from qibox.cli.main import main

    sys.argv = ["qibox", *arguments]
    main()


def finished(out: Path) -> Files:
    """The files that stand under their final names, and since when."""
    found = {}
    for table in TABLES:
        for folder, _, names in os.walk(out / table):
            for name in names:
                if not name.startswith("."):
                    stat = (Path(folder) / name).stat()
                    found[str(Path(folder) / name)] = (stat.st_ino, stat.st_mtime_ns)
    return found


def half_written(out: Path) -> list[Path]:
    """The files that a killed process left under temporary names."""
    return [path for table in TABLES for path in (out / table).rglob(".*")]


def rows_of_tables(run: object) -> dict[str, list[str]]:
    """All rows of the pool and of each table, sorted."""
    storage = Storage(str(run))
    return {
        table: sorted(
            repr(row)
            for name in storage.files(table)
            if name.endswith(".parquet")
            for row in storage.read_table(name).to_pylist()
        )
        for table in ("pool", *TABLES)
    }


def rows_of(out: Path, table: str) -> list[dict[str, Any]]:
    """All rows of a table, in an order of their own."""
    storage = Storage(out)
    found = [row for name in storage.files(table) for row in storage.read_table(name).to_pylist()]
    return sorted(
        found, key=lambda row: tuple(str(row.get(c)) for c in ("sample_id", "model", "judge", "k"))
    )
