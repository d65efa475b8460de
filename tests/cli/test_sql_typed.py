"""The prompt of `qibox sql`: through prompt_toolkit's own pipe, and on a real terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

import qibox
from qibox.cli.sql_typed import ended, history, interact, make_session, read_queries
from qibox.cli.sql_words import Words
from qibox.opened import OpenRun
from qibox.run.directory import Run
from tests.runs import sample, write_run

UP, CTRL_C = "\x1b[A", "\x03"
LONG_QUERY = (
    "select count(*) from range(1000000) a, range(1000000) b where hash(a.range+b.range)=3;"
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/qibox/sql-history"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return write_run(tmp_path / "run", [sample("a", 5, 2), sample("b", None, None)])


@pytest.fixture
def opened(run: Run) -> Iterator[OpenRun]:
    with qibox.open(run.storage.url) as opened:
        yield opened


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        yield keys


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("", True),
        ("select 1", False),
        ("select 1;", True),
        ("select 1 ; -- and no more", True),
        ("select ';", False),
        ("select ';';", True),
        ("select 'it''s;'", False),
        ('select "a;', False),
        ("select 1 /* ;", False),
        ("select $$;", False),
        (".views", True),
        ("quit", True),
    ],
)
def test_enter_sends_what_is_whole(text: str, whole: bool) -> None:
    assert ended(text) == whole


def test_a_typed_query_ends_with_its_semicolon(opened: OpenRun, keys: PipeInput) -> None:
    keys.send_text("\rselect 1\rfrom pool;\rfrom scores;\r.quit\rfrom never;\r")
    assert list(read_queries(make_session(opened))) == ["select 1\nfrom pool;", "from scores;"]


def test_ctrl_c_drops_what_was_typed_and_ctrl_d_leaves(opened: OpenRun, keys: PipeInput) -> None:
    keys.send_text(f"select 1{CTRL_C}from scores;\r\x04")
    assert list(read_queries(make_session(opened))) == ["from scores;"]


def test_what_was_typed_comes_back_another_day(
    opened: OpenRun, keys: PipeInput, state: Path
) -> None:
    keys.send_text("select 1\rfrom pool;\r.quit\r")
    list(read_queries(make_session(opened)))
    assert state.stat().st_mode & 0o777 == 0o600
    keys.send_text(f"{UP}{UP}{UP}\r.quit\r")
    assert list(read_queries(make_session(opened))) == ["select 1\nfrom pool;"]


def test_no_history_where_none_can_be_kept(tmp_path: Path, state: Path) -> None:
    assert isinstance(history(), FileHistory)
    state.unlink()
    state.mkdir()
    assert isinstance(history(), InMemoryHistory)


@pytest.mark.parametrize(
    ("text", "first", "without"),
    [
        ("select * from ", "pool", "quality"),
        ("select * from sc", "scores", "severity"),
        ("select qua", "quality", "rollouts"),
        ("select s.q", "quality", "question"),
        ("select s.", "sample_id", "question"),
        ("select * from judgments where sa", "sample_id", "safe_rate"),
        ("select dam", "damerau_levenshtein", "quality"),
        ("sel", "self_instability", "pool"),
        (".sch", ".schema", ".help"),
        (".schema ro", "rollouts", "pool"),
    ],
)
def test_completions(opened: OpenRun, text: str, first: str, without: str) -> None:
    whole = f"{text} from scores s" if text.startswith("select s.") else text
    document = Document(whole, cursor_position=len(text))
    found = [c.text for c in Words(opened).get_completions(document, CompleteEvent())]
    assert found[0] == first
    assert without not in found
    assert len(set(found)) == len(found)


def test_an_error_ends_only_its_query(
    opened: OpenRun, keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "from scroes;\r.nope\rselect 1 as a; select count(*) as n from pool;\r.help\r.quit\r"
    keys.send_text(text)
    interact(opened, "csv", 10)
    out, err = capsys.readouterr()
    assert out.split("\n")[:5] == ["a", "1", "n", "2", ".help    this"]
    assert "Table with name scroes does not exist" in err
    assert "no such command: '.nope'" in err


class Terminal:
    """`qibox sql` on a terminal of its own."""

    def __init__(self, run: Run, *more: str, pager: str = "cat") -> None:
        self.process, self.side = _started(run, more, pager)
        self.seen = ""

    def expect(self, pattern: str, seconds: float = 60) -> str:
        """What came up to and with a pattern, since the last."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < end, self.seen
            if select.select([self.side], [], [], 0.1)[0]:
                self.seen += os.read(self.side, 1 << 16).decode("utf-8", "replace")
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before

    def type(self, text: str) -> None:
        os.write(self.side, text.encode())


def _started(run: Run, more: tuple[str, ...], pager: str) -> tuple["subprocess.Popen[bytes]", int]:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PAGER": pager, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "qibox.cli.main", "sql", run.storage.url, *more],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        process_group=0,
    )
    os.close(theirs)
    return process, ours


def test_on_a_terminal(run: Run) -> None:
    terminal = Terminal(run, "--format", "csv", pager="sed s/^/paged:/")
    terminal.expect("qibox>")
    terminal.type(LONG_QUERY + "\r")
    time.sleep(0.5)
    terminal.process.send_signal(signal.SIGINT)  # ends the query, not the program
    terminal.expect("Ctrl-C ended the query")
    terminal.type("select qua\t")
    terminal.expect("quantile_disc")  # the last of several
    terminal.type("\t")  # the first
    terminal.expect("lity")
    terminal.type("\r")  # takes it
    terminal.type(" * 8 as points from scores limit 1;\r")
    terminal.expect(r"points\r?\n40\.0\r?\n")
    terminal.type(".schema\r")  # more lines than the terminal has
    terminal.expect("paged:pool")
    terminal.type(LONG_QUERY + "\r")
    time.sleep(0.5)
    terminal.process.send_signal(signal.SIGTERM)  # the other signals end it as ever
    terminal.expect("Stopped by SIGTERM")
    assert terminal.process.wait(20) == 143
