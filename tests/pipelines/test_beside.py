"""A turn that holds no model, worked off by a process beside this one as well."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest

from qibox.errors import QiboxError, UsageError
from qibox.pipelines.run import score_run
from qibox.pipelines.wave import run_here
from qibox.run.directory import RunManifest
from qibox.run.layout import judgments_path, scores_path
from qibox.run.storage import Storage
from qibox.scoring.beside import Beside, most_beside
from qibox.scoring.progress import read_progress
from qibox.scoring.turns import ShardWork, Turn
from tests.pipelines.test_score import Silent
from tests.recordings import record, recorded

SHARDS = 8


class Watching(Silent):
    """Remembers what each process told, and can end the one beside when a wave begins."""

    def __init__(self, *, kill: bool = False) -> None:
        super().__init__()
        self.units: list[int] = []
        self.pids: list[int] = []
        self._kill = kill

    @contextmanager
    def turn(self, storage: Storage, turn: Turn) -> Iterator[None]:
        self.pids = [process.pid for process in active_children() if process.pid]
        for pid in self.pids if self._kill else ():
            os.kill(pid, signal.SIGKILL)
        yield
        wave = turn.waves[-1].name
        told = [storage.read_text(name) for name in storage.files(f"progress/{wave}")]
        self.units = [json.loads(each)["units"] for each in told]
        assert read_progress(storage, wave).units == SHARDS


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> RunManifest:
    return recorded(record(tmp_path_factory.mktemp("data"), 4 * SHARDS, shard_size=4))


@pytest.fixture(scope="module")
def alone(manifest: RunManifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of this process alone: so little is not worth another."""
    out = tmp_path_factory.mktemp("runs") / "alone"
    watching = Watching()
    score_run(out, manifest, watching)
    assert not watching.pids
    return out


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("qibox.pipelines.run.MUCH", 0)
    monkeypatch.setattr("qibox.scoring.beside._is_free_to_fork", lambda: True)  # tests import torch


def same_tables(run: Path, other: Path) -> bool:
    names = [name for name in Storage(other).files("") if name.endswith(".parquet")]
    assert names == [name for name in Storage(run).files("") if name.endswith(".parquet")]
    return all((run / name).read_bytes() == (other / name).read_bytes() for name in names)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_both_do_shards_and_the_files_are_the_same(
    alone: Path, manifest: RunManifest, tmp_path: Path
) -> None:
    watching = Watching()
    summary = score_run(tmp_path / "run", manifest, watching)
    assert summary.complete
    assert len(watching.units) == 2
    assert min(watching.units) > 0
    assert same_tables(tmp_path / "run", alone)
    (pid,) = watching.pids
    assert not is_there(pid)


def test_what_a_killed_one_left_is_done_here(
    alone: Path, manifest: RunManifest, tmp_path: Path
) -> None:
    watching = Watching(kill=True)
    score_run(tmp_path / "run", manifest, watching)
    assert watching.units == [SHARDS]
    assert same_tables(tmp_path / "run", alone)


def test_a_shard_at_which_one_died_when_all_else_is_done_is_done_here(
    alone: Path, manifest: RunManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process finds the board empty before it hears of the death."""
    do, wait = Beside.do, threading.Event()

    def die(self: Beside, work: ShardWork) -> None:
        wait.wait(60)
        os.kill(self.pid or 0, signal.SIGKILL)
        do(self, work)

    def run(*given: Any) -> None:
        run_here(*given)
        wait.set()

    monkeypatch.setattr(Beside, "do", die)
    monkeypatch.setattr("qibox.pipelines.wave.run_here", run)
    watching = Watching()
    score_run(tmp_path / "run", manifest, watching)
    assert sum(watching.units) == SHARDS
    assert same_tables(tmp_path / "run", alone)


def test_its_error_is_told_as_any(manifest: RunManifest, tmp_path: Path) -> None:
    for shard in range(SHARDS):  # so that whoever does the first one meets it
        place = tmp_path / "run" / judgments_path("hash", "bay", shard)
        (place / "a folder").mkdir(parents=True)
    with pytest.raises(QiboxError, match="a directory stands"):
        score_run(tmp_path / "run", manifest, Watching())
    assert not active_children()


class Reading(Watching):
    """Ends its reading, or fails at it, once scores of the first shard stand."""

    def __init__(self, run: Path, *, fail: bool = False) -> None:
        super().__init__()
        self._first = run / scores_path(0)
        self._fail = fail

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], None]]:
        def advance(rows: int) -> None:
            deadline = time.monotonic() + 60
            while not self._first.exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            if self._fail:
                raise UsageError("no more can be read")

        yield advance


def test_the_first_shards_are_done_while_the_pool_is_read(
    alone: Path, manifest: RunManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qibox.scoring.begun.MUCH", 0)
    run = tmp_path / "run"
    watching = Reading(run)
    assert score_run(run, manifest, watching).complete
    assert sum(watching.units) == SHARDS
    assert same_tables(run, alone)
    assert not active_children()


def test_what_was_done_of_a_pool_whose_reading_failed_is_kept(
    alone: Path, manifest: RunManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qibox.scoring.begun.MUCH", 0)
    run = tmp_path / "run"
    with pytest.raises(UsageError, match="no more"):
        score_run(run, manifest, Reading(run, fail=True))
    assert not active_children()
    first = (run / scores_path(0)).stat()
    assert score_run(run, manifest, Silent()).complete
    assert (run / scores_path(0)).stat().st_ino == first.st_ino
    assert same_tables(run, alone)


@pytest.mark.parametrize("why", ["torch", "thread", "platform"])
def test_no_process_is_forked_where_that_may_hang(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    monkeypatch.setattr("threading.enumerate", lambda: [threading.main_thread()])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert most_beside() == 2
    if why == "torch":
        monkeypatch.setitem(sys.modules, "torch", threading)
    elif why == "thread":
        other = threading.Thread(name="another's")
        monkeypatch.setattr("threading.enumerate", lambda: [threading.main_thread(), other])
    else:
        monkeypatch.setattr("sys.platform", "darwin")
    assert most_beside() == 0


def test_they_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    code = (
        "from qibox.scoring.beside import Beside\n"
        f"print(*(Beside([], {str(tmp_path)!r}).pid for _ in range(2)), flush=True)\n"
        "input()"
    )
    command = [sys.executable, "-P", "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pids = [int(pid) for pid in starter.stdout.readline().split()]
        assert all(is_there(pid) for pid in pids)
        starter.kill()
    deadline = time.monotonic() + 60
    while any(is_there(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_done_there_needs_no_pandas() -> None:
    code = """
import sys
from qibox.importing import Withheld
sys.meta_path.insert(0, Withheld("pandas"))
import pyarrow as pa
from qibox.hashing import row_hashes
assert len(set(row_hashes(pa.table({"text": pa.array(["one", "other"])})))) == 2
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
