"""An evaluation that is killed and goes on counts what one that is not killed counts."""

import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.evaluations import BENCHMARKS, POLICIES, write_world
from tests.forked import Forked
from tests.pipelines.killing import Files, finished, forked_qibox, half_written, rows_of

SAMPLES, SHARDS = 40, 10
ENTRANTS = 3  # two policies and the start that they share
ANSWERED = SHARDS * ENTRANTS * len(BENCHMARKS)  # files of responses; a judge has as many
TOTAL = 3 * ANSWERED  # with two judges
# Files that are finished when it is killed: none, some of the first wave's, most of the last
# policy's, all of the first judge's, and all but one.
MOMENTS = (0, 7, ANSWERED - 5, 2 * ANSWERED, TOTAL - 1)


def evaluating(folder: Path, run: str) -> Forked:
    """`qibox eval` of two policies on two benchmarks by two judges."""
    policies = [word for name in POLICIES[:2] for word in ("--policy", name)]
    pools = [word for name in BENCHMARKS for word in ("--pool", f"{name}.yaml")]
    judges = ["--judge", "hash", "--judge", "other.yaml"]
    recorded = ["--replay", "answers", "-q"]
    return forked_qibox("eval", run, *policies, *pools, *judges, *recorded, cwd=folder)


def homes(folder: Path, run: str) -> list[Path]:
    return [folder / run / "evaluations" / name for name in BENCHMARKS]


def all_finished(folder: Path, run: str) -> Files:
    return {path: since for home in homes(folder, run) for path, since in finished(home).items()}


def kill_at(folder: Path, run: str, moment: int) -> None:
    """Go on with the evaluation, and end it once so many files are finished."""
    process = evaluating(folder, run)
    began = homes(folder, run)[-1] / "run.yaml"  # its pool is about to be read
    while not began.exists() or len(all_finished(folder, run)) < moment:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def complete(folder: Path, run: str) -> None:
    process = evaluating(folder, run)
    _, said = process.communicate()
    assert process.returncode == 0, said


@pytest.mark.slow
def test_killed_at_five_moments_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    write_world(tmp_path, SAMPLES)
    shutil.copytree(tmp_path / "run", tmp_path / "whole")
    complete(tmp_path, "whole")
    assert len(all_finished(tmp_path, "whole")) == TOTAL
    kept: Files = {}
    killed_at = []
    for moment in MOMENTS:
        kill_at(tmp_path, "run", moment)
        now = all_finished(tmp_path, "run")
        assert {path: now[path] for path in kept} == kept  # nothing finished was done again
        kept = now
        killed_at.append(len(kept))
    assert len(set(killed_at)) == len(MOMENTS), killed_at
    assert killed_at[-1] < TOTAL or not rates(tmp_path, "run")[0], "it was killed too late"
    complete(tmp_path, "run")
    now = all_finished(tmp_path, "run")
    assert {path: now[path] for path in kept} == kept
    assert len(now) == TOTAL
    for broken, whole in zip(homes(tmp_path, "run"), homes(tmp_path, "whole"), strict=True):
        for table in ("responses", "judgments"):
            assert rows_of(broken, table) == rows_of(whole, table)
        assert half_written(broken) == []
    assert rates(tmp_path, "run") == rates(tmp_path, "whole")


def rates(folder: Path, run: str) -> list[bytes]:
    """The bytes of each benchmark's rates; empty where there are none yet."""
    files = [home / "rates.parquet" for home in homes(folder, run)]
    return [file.read_bytes() if file.exists() else b"" for file in files]
