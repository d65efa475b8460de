"""Lets commands meet a full disk at ten sizes each, and sees what they say and leave.

Each must be done, or end with status 1 and one sentence that names the run; what was there before
is there as it was, nothing half-written is left, and with room the same command comes to what it
comes to on a large disk. ``tests/test_places.py`` takes a part; all, in some minutes:

    python -m tests.tools.full_disk
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from qibox.policies.card import CARD
from qibox.scoring.kept_footers import NAME as NOTE
from tests.commands import Done, qibox
from tests.tools.breakage import Figure, World, begin_world

FREE = {  # KiB that are left when a command starts
    "score": (4, 16, 24, 32, 40, 48, 64, 80, 96, 128),
    "select": (4, 8, 12, 16, 20, 32, 48, 64, 80, 128),
    "train": (4, 1000, 4000, 4250, 4500, 5500, 6500, 7000, 7600, 9000),
    "eval": (4, 12, 20, 32, 44, 56, 68, 80, 100, 128),
}
PLENTY = "64m"


class NotMountableError(Exception):
    """No file system can be mounted here; the message says why."""


@dataclass(frozen=True)
class Trial:
    """A command, the run that it is given, and what it comes to on a large disk."""

    name: str
    world: World
    before: Path  # a copy of the run; not there: it starts from nothing
    figure: object

    def on(self, run: Path) -> tuple[list[object], Figure]:
        """The command and its figure on another copy of the run."""
        return replace(self.world, run=run).writers()[self.name]


@contextmanager
def mounted(target: Path, *options: str) -> Iterator[Path]:
    """A file system at a place.

    Raises:
        NotMountableError: mounting is not allowed here.
    """
    target.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(target)], capture_output=True, text=True)
    if done.returncode:
        raise NotMountableError(done.stderr.strip())
    try:
        yield target
    finally:
        subprocess.run(["umount", "--lazy", str(target)], check=True)  # a file may be open still


def resize(disk: Path, size: str) -> None:
    """Give a tmpfs another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def trials(folder: Path) -> dict[str, Trial]:
    """The commands in the order of the work, each over the run that those before it made."""
    world = begin_world(folder)
    found = {}
    for name in FREE:
        before = folder / f"before-{name}"
        if world.run.exists():
            shutil.copytree(world.run, before)
        command, figure = world.writers()[name]
        done = qibox(*command)
        assert done.status == 0, done.stderr
        found[name] = Trial(name, world, before, figure(done))
    return found


def fill(trial: Trial, free: int, folder: Path) -> list[str]:
    """Let a command meet a disk with so many KiB left; gives back what was wrong."""
    with mounted(folder / "disk", "-t", "tmpfs", "-o", f"size={PLENTY}", "none") as disk:
        run = disk / "run"
        if trial.before.exists():
            shutil.copytree(trial.before, run)
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        resize(disk, f"{shutil.disk_usage(disk).used // 1024 + free}k")
        command, figure = trial.on(run)
        done = qibox(*command)
        wrong = list(faults(done, run)) if done.status else []
        if done.status:
            resize(disk, PLENTY)
            units = {path: path.stat().st_mtime_ns for path in finished_units(run)}
            done = qibox(*command)
            if done.status:
                return [*wrong, f"{trial.name}, {free} KiB, with room: {done.stderr}"]
            again = (path for path, then in units.items() if path.stat().st_mtime_ns != then)
            wrong += [f"done twice: {path}" for path in again]
        if figure(done) != trial.figure:
            wrong.append("another figure")
        for path, content in before.items():
            told = trial.world.run / path.relative_to(run)  # a card tells of evaluations, too
            new = path.name == CARD and same(path, told.read_bytes())
            if not new and not same(path, content):
                wrong.append(f"changed: {path}")
    return [f"{trial.name}, {free} KiB: {each}" for each in wrong]


def faults(done: Done, run: Path) -> Iterator[str]:
    """What is wrong with how a command ended that the disk was too small for."""
    said = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    if done.status != 1 or len(said) != 1 or "Traceback" in done.stderr:
        yield f"status {done.status}, not one sentence: {done.stderr}"
    elif str(run) not in said[0]:
        yield f"the run is not named: {said[0]}"
    elif "no space left" not in said[0] and "are free there" not in said[0]:
        yield f"the disk is not blamed: {said[0]}"
    names = (path.name for path in run.rglob(".*"))
    yield from (f"left {name}" for name in names if not name.endswith(("lock", NOTE)))


def finished_units(run: Path) -> list[Path]:
    """The tables of answers, verdicts and scores that stand."""
    tables = ("responses", "judgments", "scores")
    return [path for path in run.rglob("shard-*.parquet") if {*tables} & {*path.parts}]


def same(path: Path, content: bytes) -> bool:
    """Whether a file still stands with its content."""
    return path.exists() and path.read_bytes() == content


def main() -> None:
    """Fill the disk under all commands."""
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: [fault for free in FREE[name] for fault in fill(trial, free, Path(folder))]
            for name, trial in trials(Path(folder)).items()
        }
    wrong = [fault for faults in found.values() for fault in faults]
    print("\n".join(wrong) or "nothing is wrong")
    print(", ".join(f"{name}: {len(FREE[name])} sizes" for name in found), f"{len(wrong)} faults")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
