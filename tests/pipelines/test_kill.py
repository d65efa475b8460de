"""The work of a scoring that is killed again and again is the work of one that is not."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.pipelines.killing import TABLES, Files, finished, half_written, rows_of, start_qibox
from tests.recordings import record

KILLS = 20


def scoring(data: Path, out: Path) -> "subprocess.Popen[bytes]":
    """`qibox score` as a person starts it."""
    options = {"pool": "pool.yaml", "panel": "panel.yaml"}
    paths = [x for name, file in options.items() for x in (f"--{name}", str(data / file))]
    return start_qibox("score", *paths, "--judge", "hash", "--out", out)


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    rng = random.Random(20)
    data = record(tmp_path / "data", 40, shard_size=4)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    _, said = scoring(data, whole).communicate()
    total = len(finished(whole))
    assert total == 10 * (3 + 3 + 1), said
    assert b"leak" not in said  # as bindings call what is frozen at the end
    kept: Files = {}
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
        assert rows_of(broken, table) == rows_of(whole, table)
    assert half_written(broken) == []
