"""The work of a scoring that is killed again and again is the work of one that is not.

Half-way, its disk is full for a while.
"""

import contextlib
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forked import Forked
from tests.pipelines.killing import (
    TABLES,
    Files,
    finished,
    forked_qibox,
    half_written,
    rows_of,
    start_qibox,
)
from tests.recordings import record
from tests.tools.full_disk import NotMountableError, mounted

KILLS = 20


def asked(data: Path, out: Path) -> list[object]:
    """The words after `qibox`."""
    manifests = ["--pool", data / "pool.yaml", "--panel", data / "panel.yaml"]
    return ["score", *manifests, "--judge", "hash", "--out", out]


def scoring(data: Path, out: Path) -> Forked:
    """`qibox score`, at work at once."""
    return forked_qibox(*asked(data, out))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that can be made full; a folder where mounting is not allowed."""
    try:
        with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=2m", "none") as disk:
            yield disk
    except NotMountableError:
        yield tmp_path / "disk"


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(tmp_path: Path, disk: Path) -> None:
    rng = random.Random(20)
    data = record(tmp_path / "data", 40, shard_size=4)
    whole, broken = tmp_path / "whole", disk / "broken"
    _, said = start_qibox(*asked(data, whole)).communicate()
    total = len(finished(whole))
    assert total == 10 * (3 + 3 + 1), said
    assert b"leak" not in said  # as bindings call what is frozen at the end
    kept: Files = {}
    killed_at = []
    while len(killed_at) < KILLS:
        if len(killed_at) == KILLS // 2 and disk.is_mount():
            kept = on_a_full_disk(data, broken, kept)
        process = scoring(data, broken)
        wait_for = min(total - 1, len(kept) + rng.randrange(6))
        while len(finished(broken)) < wait_for:
            assert process.poll() is None, process.communicate()[1]
        time.sleep(rng.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        now = finished(broken)
        assert {path: now[path] for path in kept} == kept  # nothing finished was done again
        kept = now
        killed_at.append(len(kept))
    process = scoring(data, broken)
    _, said = process.communicate()
    assert process.returncode == 0, said
    now = finished(broken)
    assert {path: now[path] for path in kept} == kept
    assert len(set(killed_at)) > KILLS / 3, killed_at  # the moments really were different ones
    for table in TABLES:
        assert rows_of(broken, table) == rows_of(whole, table)
    assert half_written(broken) == []
    if not disk.is_mount():
        pytest.skip("no file system can be mounted here: all but the full disk was tried")


def on_a_full_disk(data: Path, broken: Path, kept: Files) -> Files:
    """Let the disk become full in the middle of the work; what is finished after that."""
    process = scoring(data, broken)
    while len(finished(broken)) == len(kept):
        assert process.poll() is None, process.communicate()[1]
    filler = broken.with_name("filler")
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    _, said = process.communicate()
    filler.unlink()
    assert process.returncode == 1, said
    assert b"there is no space left" in said
    assert str(broken).encode() in said
    now = finished(broken)
    assert {path: now[path] for path in kept} == kept
    assert half_written(broken) == []
    return now
