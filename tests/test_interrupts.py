"""Ctrl-C and its kin at random moments: a status, one sentence, and nothing left behind."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.interrupts import Kind, Number, interrupt, kinds


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    return kinds(tmp_path_factory.mktemp("worlds"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "moment"),
    [
        ("score, models", 3.0),
        ("score, threads", 3.0),
        ("train", 9.0),
        ("eval", 2.5),
        ("select", 0.5),
        ("sql", 2.0),
    ],
)
def test_an_interrupted_command_ends_in_order(
    every: dict[str, Kind], tmp_path: Path, kind: str, moment: float
) -> None:
    outcome = interrupt(every[kind], moment, tmp_path / "own")
    assert outcome.faults == []
    assert outcome.status in (0, 130)


@pytest.mark.parametrize(
    ("kind", "number", "status"),
    [("score, threads", signal.SIGTERM, 143), ("sql", signal.SIGHUP, 129)],
)
def test_other_signals_end_it_as_well(
    every: dict[str, Kind], tmp_path: Path, kind: str, number: Number, status: int
) -> None:
    outcome = interrupt(every[kind], 2.0, tmp_path / "own", number)
    assert outcome.faults == []
    assert outcome.status == status


AT_ITS_START = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == "click":  # what the command line imports first of all that takes time
            os.kill(os.getpid(), signal.SIGINT)

from qibox.cli.__main__ import main
assert "click" not in sys.modules
sys.meta_path.insert(0, Interrupting())
main()
"""


def test_an_interrupt_before_anything_was_imported_is_one_sentence() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", AT_ITS_START], capture_output=True)
    assert done.returncode == 130
    assert done.stderr == b"\nStopped by Ctrl-C: nothing was begun\n"


IN_AN_EXTENSION = """
import enum, os, signal

from qibox import stopping

call = enum.EnumType.__call__

def interrupting(*arguments, **options):  # DuckDB's compiled part makes enums as it is set up
    enum.EnumType.__call__ = call
    os.kill(os.getpid(), signal.SIGINT)
    return call(*arguments, **options)

with stopping.hearing():
    try:
        enum.EnumType.__call__ = interrupting
        import _duckdb
        while True:
            pass
    except stopping.Stop:
        assert _duckdb.connect().execute("select 1").fetchall() == [(1,)]
        os._exit(stopping.exit_status())
"""


def test_an_interrupt_while_a_compiled_module_is_set_up_waits_for_it() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", IN_AN_EXTENSION], capture_output=True)
    assert (done.returncode, done.stderr) == (130, b"")


IN_A_BARE_EXCEPT = """
import os, signal, time

from qibox import stopping

with stopping.hearing():
    try:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except:
            pass
        try:
            while True:
                time.sleep(0.01)
        finally:  # lasts longer than it takes to find a dropped Stop, and is not cut short
            time.sleep(1.5 * stopping.DROPPED_S)
            time.sleep(0.01)
            ended = True
    except stopping.Stop:
        os._exit(stopping.exit_status() if ended else 1)
"""


def test_an_interrupt_that_a_library_drops_comes_again() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", IN_A_BARE_EXCEPT], capture_output=True)
    assert (done.returncode, done.stderr) == (130, b"")


def test_a_second_signal_ends_at_once(every: dict[str, Kind], tmp_path: Path) -> None:
    outcome = interrupt(every["score, models"], 4.0, tmp_path / "own", times=2)
    assert outcome.faults == []
    assert outcome.status in (130, -signal.SIGINT)  # the latter while the interpreter ends
