"""Terminals and pipes as they come: another encoding, closed, holding no text."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import sample, write_run

COMMAND = str(Path(sys.executable).with_name("qibox"))
ASCII = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LATIN = {**os.environ, "PYTHONIOENCODING": "latin-1"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path, [sample("猫", 5, 2, question="naïve 猫 ?", category="猫")])
    return tmp_path


def shell(line: str, **more: object) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(line, shell=True, capture_output=True, check=False, **more)  # type: ignore[call-overload, no-any-return]


ONE_AFTER_ANOTHER = """
import shlex, sys
from qibox.cli.main import main
for line in sys.argv[1:]:
    sys.argv = shlex.split(line)
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, (line, end.code)
    print("ended", flush=True)
"""


@pytest.mark.parametrize("environment", [ASCII, LATIN], ids=["ascii", "latin-1"])
def test_what_a_stream_cannot_hold_is_written_out(run: Path, environment: dict[str, str]) -> None:
    query = "select question from pool"
    lines = [
        f"qibox status {run}",
        f"qibox sql {run} 'select sample_id, question from pool'",
        f"qibox show {run} 猫",
        f"qibox select {run} --random 1",
        *(f"qibox sql {run} '{query}' --format {form}" for form in ("csv", "json", "markdown")),
    ]
    command = [sys.executable, "-P", "-c", ONE_AFTER_ANOTHER, *lines]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    said = done.stdout.split(b"ended\n")
    assert len(said) == len(lines) + 1
    for text in said[4:7]:
        assert "naïve 猫 ?" in text.decode("utf-8")


def test_closed_streams_are_no_traceback(run: Path) -> None:
    for line in (f"status {run} >&-", f"status {run} 2>&-", f"status {run} <&- >&- 2>&-"):
        assert shell(f"{COMMAND} {line}").returncode == 0
    none = shell(f"{COMMAND} sql {run} <&-")
    assert none.returncode == 2
    assert b"there is no statement" in none.stderr


def test_a_query_that_is_no_text(run: Path) -> None:
    done = shell(f"{COMMAND} sql {run}", input=b"\xff\xfe\x00select")
    assert done.returncode == 2
    assert b"no UTF-8 text" in done.stderr
    assert done.stderr.count(b"\n") == 1
