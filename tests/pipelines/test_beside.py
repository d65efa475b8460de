"""A turn that holds no model, worked off by a process beside this one as well."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qibox.errors import QiboxError
from qibox.pipelines.run import score_run
from qibox.run.directory import RunManifest
from qibox.run.layout import judgments_path
from qibox.run.storage import Storage
from qibox.scoring import beside
from qibox.scoring.progress import read_progress
from qibox.scoring.turns import Turn
from tests.pipelines.test_score import Silent
from tests.recordings import record, recorded

SHARDS = 8


class Watching(Silent):
    """Remembers what each process told, and can end the one beside when a wave begins."""

    def __init__(self, *, kill: bool = False) -> None:
        super().__init__()
        self.units: list[int] = []
        self.pid = 0
        self._kill = kill

    @contextmanager
    def turn(self, storage: Storage, turn: Turn) -> Iterator[None]:
        (process,) = beside._running
        self.pid = process.pid
        if self._kill:
            os.kill(self.pid, signal.SIGKILL)
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
    score_run(out, manifest, Silent())
    assert not beside._running
    return out


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("qibox.pipelines.run.MUCH", 0)


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
    assert not is_there(watching.pid)


def test_what_a_killed_one_left_is_done_here(
    alone: Path, manifest: RunManifest, tmp_path: Path
) -> None:
    watching = Watching(kill=True)
    score_run(tmp_path / "run", manifest, watching)
    assert watching.units == [SHARDS]
    assert same_tables(tmp_path / "run", alone)


def test_its_error_is_told_as_any(manifest: RunManifest, tmp_path: Path) -> None:
    for shard in range(SHARDS):  # so that whoever does the first one meets it
        place = tmp_path / "run" / judgments_path("hash", "bay", shard)
        (place / "a folder").mkdir(parents=True)
    with pytest.raises(QiboxError, match="a directory stands"):
        score_run(tmp_path / "run", manifest, Watching())
    assert not beside._running


def test_it_ends_with_the_process_that_started_it(manifest: RunManifest, tmp_path: Path) -> None:
    code = (
        "from qibox.scoring import beside\n"
        "beside.start()\n"
        "print(beside._running[0].pid, flush=True)\n"
        "input()"
    )
    command = [sys.executable, "-P", "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert is_there(pid)
        starter.kill()
    deadline = time.monotonic() + 60
    while is_there(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
