"""All waves on a real Dask cluster: its scheduler and workers are processes, told of over loopback.

The cluster is what `qibox cluster local` starts; each worker does one unit at a time.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from qibox.run.storage import Storage
from tests.commands import Done, qibox
from tests.endpoint import Endpoint, serving, write_endpoint
from tests.recordings import record

BIN = Path(sys.executable).parent
TABLES = ("pool", "responses", "judgments", "scores")

distributed = pytest.importorskip(
    "distributed", reason="DASK IS NOT INSTALLED: pip install 'qibox[dask]' adds it"
)


@dataclass(frozen=True)
class Cluster:
    """A scheduler and two workers."""

    options: tuple[str, ...]  # for Beam, as the command printed them
    address: str

    def workers(self) -> dict[str, int]:
        """Process ids by address."""
        with distributed.Client(self.address) as client:
            return dict(client.run(os.getpid))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    started = subprocess.Popen(
        [BIN / "qibox", "cluster", "local", "--workers", "2"], stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    line = started.stdout.readline().split()
    assert line[:2] == ["--", "--runner=DaskRunner"]
    yield Cluster(tuple(line), line[2].partition("=")[2])
    started.send_signal(signal.SIGINT)
    assert started.wait(60) == 130


def score(data: Path, out: Path, *more: object, on: Cluster | None = None) -> Done:
    pool = ("--pool", data / "pool.yaml", "--panel", data / "panel.yaml", "--judge", "hash")
    return qibox("score", *pool, "--out", out, *more, "-q", *(on.options if on else ()))


def rows(run: Path) -> dict[str, list[str]]:
    """All rows of each table, sorted."""
    storage = Storage(run)
    return {
        table: sorted(
            repr(row)
            for name in storage.files(table)
            if name.endswith(".parquet")
            for row in storage.read_table(name).to_pylist()
        )
        for table in TABLES
    }


def test_recorded_responses_are_judged_and_scored_as_on_one_machine(
    cluster: Cluster, tmp_path: Path
) -> None:
    data = record(tmp_path / "data")
    assert score(data, tmp_path / "here") == Done(0, "", "")
    assert score(data, tmp_path / "there", on=cluster) == Done(0, "", "")
    assert rows(tmp_path / "there") == rows(tmp_path / "here")
    assert not Storage(tmp_path / "there").files("progress")


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[tuple[Path, Endpoint]]:
    """A panel and a judge that are asked, each in a wave of its own."""
    data = record(tmp_path / "data", 12, shard_size=2)
    with serving() as endpoint:
        write_endpoint(data, endpoint.url)
        yield data, endpoint


def ask(data: Path, out: Path, on: Cluster | None = None) -> "subprocess.Popen[str]":
    pool = ("--pool", data / "pool.yaml", "--panel", data / "asked.yaml")
    command = ("score", *pool, "--judge", data / "grm.yaml", "--out", out, "-q")
    words = [BIN / "qibox", *command, *(on.options if on else ())]
    return subprocess.Popen([str(word) for word in words], stderr=subprocess.PIPE, text=True)


def test_a_worker_that_is_killed_in_a_wave_costs_nothing(
    cluster: Cluster, asked: tuple[Path, Endpoint], tmp_path: Path
) -> None:
    data, endpoint = asked
    assert ask(data, tmp_path / "here").wait(120) == 0
    endpoint.open.clear()
    before = cluster.workers()
    started = ask(data, tmp_path / "there", cluster)
    while len(endpoint.waiting) < 4:  # both workers are at it: a unit has two samples
        assert started.poll() is None
        time.sleep(0.1)
    os.kill(next(iter(before.values())), signal.SIGKILL)
    endpoint.open.set()
    _, said = started.communicate(timeout=120)
    assert started.returncode == 0, said
    assert rows(tmp_path / "there") == rows(tmp_path / "here")
    after = cluster.workers()
    assert len(after) == 2
    assert set(after.values()) != set(before.values())
