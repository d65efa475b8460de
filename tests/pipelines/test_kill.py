"""The work of a scoring that is killed again and again is the work of one that is not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from qibox.run.storage import Storage
from tests.recordings import record

KILLS = 20
TABLES = ("responses", "judgments", "scores")


def scoring(data: Path, out: Path) -> "subprocess.Popen[bytes]":
    """`qibox score` as a person starts it."""
    options = {"pool": "pool.yaml", "panel": "panel.yaml"}
    paths = [x for name, file in options.items() for x in (f"--{name}", str(data / file))]
    command = [sys.executable, "-P", "-c", "from qibox.cli.main import main; main()"]
    return subprocess.Popen(
        [*command, "score", *paths, "--judge", "hash", "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finished(out: Path) -> dict[str, tuple[int, int]]:
    """The files that stand under their final names, and since when."""
    found = {}
    for table in TABLES:
        for folder, _, names in os.walk(out / table):
            for name in names:
                if not name.startswith("."):
                    stat = (Path(folder) / name).stat()
                    found[str(Path(folder) / name)] = (stat.st_ino, stat.st_mtime_ns)
    return found


def rows(out: Path, table: str) -> list[dict[str, Any]]:
    storage = Storage(out)
    found = [row for name in storage.files(table) for row in storage.read_table(name).to_pylist()]
    return sorted(
        found, key=lambda row: tuple(str(row.get(c)) for c in ("sample_id", "model", "k"))
    )


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    rng = random.Random(20)
    data = record(tmp_path / "data", 40, shard_size=4)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    _, said = scoring(data, whole).communicate()
    total = len(finished(whole))
    assert total == 10 * (3 + 3 + 1), said
    kept: dict[str, tuple[int, int]] = {}
    killed_at = []
    while len(killed_at) < KILLS:
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
        assert rows(broken, table) == rows(whole, table)
    left = [p for t in TABLES for p in (broken / t).rglob(".*")]
    assert left == []
