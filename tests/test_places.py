"""Places where nothing can be written, or not enough: one sentence, and what is done is kept."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands import qibox
from tests.recordings import record
from tests.tools.full_disk import FREE, NotMountableError, Trial, fill, mounted, trials

COMMAND = str(Path(sys.executable).with_name("qibox"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recorded"), samples=40, k=4)


def score(recorded: Path) -> list[object]:
    pool, panel = recorded / "pool.yaml", recorded / "panel.yaml"
    return ["score", "--pool", pool, "--panel", panel, "--judge", "hash", "-q", "--out"]


@contextmanager
def read_only(place: Path, target: Path) -> Iterator[Path]:
    """The same directory at another place, where it cannot be written: root ignores modes.

    Skips the test where mounting is not allowed.
    """
    try:
        with mounted(target, "--bind", str(place)):
            subprocess.run(["mount", "-o", "remount,ro,bind", str(target)], check=True)
            yield target
    except NotMountableError as error:
        pytest.skip(f"no file system can be mounted here: {error}")


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("{recorded}/pool.yaml", "is a file, not a directory"),
        ("{recorded}/pool.yaml/run", "lies under"),
        ("/dev/null", "is a device"),
        ("http://localhost:1/run", "can only be read"),
        ("memory://run", "nothing would be left"),
        ("nosuch://run", "no storage can be opened"),
        ("", "is empty"),
    ],
)
def test_a_place_that_cannot_hold_a_run_is_refused(recorded: Path, out: str, says: str) -> None:
    done = qibox(*score(recorded), out.format(recorded=recorded))
    assert done.status == 2
    assert says in done.stderr
    assert done.stderr.startswith("Error: ")


def test_a_read_only_run_is_read_and_not_written(recorded: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert qibox(*score(recorded), run).status == 0
    with read_only(run, tmp_path / "ro") as frozen:
        for command in (["status", frozen, "--verify"], ["sql", frozen, "from scores"]):
            assert qibox(*command).status == 0
        for command in ([*score(recorded), frozen], ["select", frozen, "--random", "5"]):
            done = subprocess.run(
                [COMMAND, *map(str, command)],
                capture_output=True,
                text=True,
            )
            assert done.returncode in (1, 2), done.stderr
            assert "read-only" in done.stderr
            assert str(frozen) in done.stderr
            assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", FREE)
def test_nothing_is_written_to_a_read_only_place(
    every: dict[str, Trial], tmp_path: Path, command: str
) -> None:
    run = tmp_path / "run"
    if every[command].before.exists():
        shutil.copytree(every[command].before, run)
    run.mkdir(exist_ok=True)
    with read_only(run, tmp_path / "ro") as frozen:
        done = qibox(*every[command].on(frozen)[0])
    assert done.status in (1, 2)
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("Error: "))
    assert "read-only" in said
    assert str(frozen) in said


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trial]:
    return trials(tmp_path_factory.mktemp("trials"))


@pytest.mark.parametrize("command", FREE)
def test_a_full_disk_stops_the_work_and_keeps_what_is_done(
    every: dict[str, Trial], tmp_path: Path, command: str
) -> None:
    sizes = FREE[command] if command != "train" else FREE[command][::3]  # seconds each
    try:
        wrong = [fault for free in sizes for fault in fill(every[command], free, tmp_path)]
    except NotMountableError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    assert wrong == []


def test_an_immutable_place_is_refused(recorded: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    done = subprocess.run(["chattr", "+i", str(run)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"nothing can be made immutable here: {done.stderr.strip()}")
    try:
        refused = qibox(*score(recorded), run)
    finally:
        subprocess.run(["chattr", "-i", str(run)], check=True)
    assert refused.status == 2
    assert f"{run} cannot be written" in refused.stderr


def test_a_temporary_folder_without_room_is_named(
    every: dict[str, Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(every["train"].before, run)
    try:
        with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=4300k", "none") as small:
            monkeypatch.setattr(tempfile, "tempdir", str(small))
            done = qibox(*every["train"].on(run)[0])
    except NotMountableError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    assert done.status == 1
    assert f"there is no space left for a library's files, most likely in {small}" in done.stderr


def test_output_to_a_full_or_closed_end_is_no_traceback(recorded: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert qibox(*score(recorded), run).status == 0
    command = f"{COMMAND} sql {run} 'from responses' --format csv"
    full = subprocess.run(f"{command} > /dev/full", shell=True, capture_output=True, text=True)
    assert full.returncode == 1
    assert full.stderr.count("\n") == 1
    assert "standard output cannot be used: there is no space left" in full.stderr
    closed = subprocess.run(f"{command} | head -1", shell=True, capture_output=True, text=True)
    assert closed.stderr == ""
    assert closed.stdout.startswith("sample_id,")
