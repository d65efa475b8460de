"""Breaks each file of a finished run in each of six ways, and sees what every command makes of it.

Never a traceback, never another figure, always the file's name. ``tests/test_breakage.py`` takes a
part; all files by all commands that read:

    python -m tests.tools.breakage
"""

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.commands import Done, qibox
from tests.recordings import record

Damage = Callable[[Path], None]


def empty(path: Path) -> None:
    """No bytes are left."""
    path.write_bytes(b"")


def truncate(path: Path) -> None:
    """Half of the bytes are left."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flip(path: Path) -> None:
    """One bit is another; where, the name decides."""
    content = bytearray(path.read_bytes())
    bit = random.Random(path.name).randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def overwrite(path: Path) -> None:
    """Bytes that are neither Parquet nor text."""
    path.write_bytes(random.Random(0).randbytes(500))


def make_directory(path: Path) -> None:
    """A directory stands in its place, with a file in it."""
    path.unlink()
    path.mkdir()
    (path / "stranger").write_text("not of this run")


def make_pipe(path: Path) -> None:
    """A pipe stands in its place, into which nobody writes."""
    path.unlink()
    os.mkfifo(path)


DAMAGES: tuple[Damage, ...] = (empty, truncate, flip, overwrite, make_directory, make_pipe)

TABLES = {
    "pool": "* exclude image",
    "responses": "*",
    "judgments": "*",
    "scores": "*",
    "selections": "* exclude (prompt, images)",
}


@dataclass(frozen=True)
class World:
    """A finished run, and what it was made of."""

    recorded: Path
    run: Path

    @property
    def score(self) -> list[object]:
        """The command that made it."""
        made_of = ["--pool", self.recorded / "pool.yaml", "--panel", self.recorded / "panel.yaml"]
        return ["score", *made_of, "--judge", "hash", "-q", "--out", self.run]

    def readers(self) -> dict[str, list[object]]:
        """Commands that only read; what they print is a figure."""
        queries = {
            f"sql {table}": ["sql", self.run, f"select {columns} from {table} order by all"]
            for table, columns in TABLES.items()
        }
        return {
            **{name: [*query, "--format", "csv"] for name, query in queries.items()},
            "show": ["show", self.run, "small:s3"],
            "select": ["select", self.run, "--random", 4, "--dry-run", "--name", "other"],
            "train": ["train", self.run, "--dry-run"],
            "status": ["status", self.run, "--verify"],
        }

    def files(self) -> list[Path]:
        """Every file of the run that a command reads."""
        return sorted(
            path
            for path in self.run.rglob("*")
            if path.is_file() and path.name not in ("README.md", ".lock")
        )


def make_world(folder: Path, samples: int = 12) -> World:
    """A run of one shard, and a selection of it."""
    world = World(record(folder / "recorded", samples, shard_size=samples), folder / "run")
    for command in (world.score, ["select", world.run, "--random", 8]):
        done = qibox(*command)
        assert done.status == 0, done.stderr
    return world


def faults(path: Path, damage: Damage, before: Done, after: Done) -> Iterator[str]:
    """What is wrong with what a command made of a damaged file.

    A text has no checksum: a flipped bit in it may mean something else.
    """
    if after.status == 0:
        if after.stdout != before.stdout and (path.suffix == ".parquet" or damage is not flip):
            yield f"another figure: {after.stdout}"
    elif after.status not in (1, 2):
        yield f"status {after.status}"
    elif path.name not in after.stderr and "`qibox score" not in after.stderr:
        yield f"the file is not named: {after.stderr}"


def sweep(world: World, commands: dict[str, list[object]], paths: list[Path]) -> list[str]:
    """Break and mend each file in each way; gives back what was wrong."""
    before = {name: qibox(*command) for name, command in commands.items()}
    wrong: list[str] = []
    for path in paths:
        content = path.read_bytes()
        for damage in DAMAGES:
            damage(path)
            for name, command in commands.items():
                case = f"{name} after {damage.__name__} of {path.relative_to(world.run)}"
                try:
                    after = qibox(*command)
                except Exception as error:
                    wrong.append(f"{case}: {error!r}")
                    continue
                wrong += [f"{case}: {f}" for f in faults(path, damage, before[name], after)]
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            path.write_bytes(content)
    return wrong


def main() -> None:
    """Sweep all files by all commands that read."""
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder))
        wrong = sweep(world, world.readers(), world.files())
    print("\n".join(wrong) or "nothing is wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
