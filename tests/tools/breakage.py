"""Breaks each file of a finished run in each of six ways, and sees what every command makes of it.

Never a traceback, never another figure, always the file's name. The run has a policy, trained by
one step, one whose training was stopped after that step, and answers of the first to a benchmark.
``tests/test_breakage.py`` takes a part; all files by all commands, in half an hour:

    python -m tests.tools.breakage
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from qibox.errors import QiboxError
from qibox.grpo import train as training
from tests.commands import Done, qibox
from tests.evaluations import add_benchmark, write_answers
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


Figure = Callable[[Done], object]  # of a command that is done, what must stay the same


@dataclass(frozen=True)
class World:
    """A finished run, and what it was made of."""

    recorded: Path
    run: Path

    @property
    def select(self) -> list[object]:
        """The command that selects eight of its samples."""
        return ["select", self.run, "--random", 8]

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
            **{
                f"sql {view}": ["sql", self.run, f"from {view} order by all", "--format", "csv"]
                for view in ("evaluations", "rollouts", "rates")
            },
            "show": ["show", self.run, "small:s3"],
            "plot training": ["plot", self.run, "training", "--out", self.recorded / "t.svg"],
            "select": ["select", self.run, "--random", 4, "--dry-run", "--name", "other"],
            "train": [*self.train("default"), "--dry-run"],
            "status": ["status", self.run, "--verify"],
        }

    def train(self, name: str) -> list[object]:
        """The command that trains a policy of that name by one step."""
        small = ["--policy", "builtin:policy", "--steps", 1, "--save-every", 1]
        return ["train", self.run, *small, "--name", name]

    @property
    def eval(self) -> list[object]:
        """The command that asks the policy and its start, whose answers are recorded."""
        played = ["--replay", self.recorded / "answers", "--limit", 4]
        return ["eval", self.run, "--pool", self.recorded / "held.yaml", *played]

    def writers(self) -> "dict[str, tuple[list[object], Figure]]":
        """Commands that make anew what is not there, and the figure that each comes to."""

        def tables(folder: str) -> list[bytes]:
            paths = sorted((self.run / folder).rglob("*.parquet"))
            return [path.read_bytes() if path.is_file() else b"" for path in paths]

        half = self.run / "policies/half/model/model.safetensors"
        return {
            "score": (self.score, lambda done: tables("scores")),
            "select": (self.select, lambda done: tables("selections")),
            "eval": (self.eval, lambda done: (done.stdout, tables("evaluations"))),
            "train": (self.train("default"), lambda done: tables("policies/default")),
            "train on": (self.train("half"), lambda done: half.read_bytes()),
        }

    def files(self, below: str = "") -> list[Path]:
        """Every file of the run that a command reads."""
        return sorted(
            path
            for path in (self.run / below).rglob("*")
            if path.is_file() and path.name != "README.md" and not path.name.endswith(".lock")
        )


def begin_world(folder: Path, samples: int = 12) -> World:
    """What a run is made of; nothing of it is made yet."""
    made = record(folder / "recorded", samples, shard_size=samples, models=("ada", "bay"))
    world = World(made, folder / "run")
    add_benchmark(world.recorded, "held", [f"asks {i} ?" for i in range(4)])
    for model in ("default", "start-policy"):
        write_answers(world.recorded / "answers", model, [f"held:b{i}" for i in range(4)])
    return world


def make_world(folder: Path) -> World:
    """A run of one shard, a selection of it, a policy, half a policy and an evaluation."""
    world = begin_world(folder)
    for command in (world.score, world.select, world.train("default"), world.eval):
        done = qibox(*command)
        assert done.status == 0, done.stderr
    with patch.object(training, "save_policy", side_effect=QiboxError("stopped here")):
        done = qibox(*world.train("half"))  # after its only step, whose checkpoint is kept
    assert "stopped here" in done.stderr
    return world


def faults(path: Path, before: object, after: Done, figure: Figure) -> Iterator[str]:
    """What is wrong with what a command made of a damaged file."""
    if after.status == 0:
        if (now := figure(after)) != before:
            yield f"another figure: {now!r:.2000}"
    elif after.status not in (1, 2):
        yield f"status {after.status}"
    elif path.name not in after.stderr and "`qibox score" not in after.stderr:
        yield f"the file is not named: {after.stderr}"
    if "Traceback" in after.stderr:
        yield f"a traceback: {after.stderr}"


def tried(
    case: str, command: list[object], path: Path, before: object, figure: Figure
) -> list[str]:
    """What is wrong with what a command makes of a damaged file; a traceback is."""
    try:
        after = qibox(*command)
    except Exception as error:
        return [f"{case}: {error!r}"]
    return [f"{case}: {fault}" for fault in faults(path, before, after, figure)]


def sweep(world: World, commands: dict[str, list[object]], paths: list[Path]) -> list[str]:
    """Break and mend each file in each way; gives back what was wrong."""
    before = {name: qibox(*command).stdout for name, command in commands.items()}
    wrong: list[str] = []
    for path in paths:
        content = path.read_bytes()
        for damage in DAMAGES:
            damage(path)
            for name, command in commands.items():
                case = f"{name} after {damage.__name__} of {path.relative_to(world.run)}"
                wrong += tried(case, command, path, before[name], printed)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            path.write_bytes(content)
    return wrong


def printed(done: Done) -> object:
    """The figure of a command that only reads."""
    return done.stdout


def flip_bits(world: World, count: int) -> list[str]:
    """Flip single bits of tables, drawn at random; gives back which changed a figure silently."""
    rng = random.Random(count)
    readers = world.readers()
    views = {"policies": "rollouts", "evaluations": "evaluations"}
    files = [path for path in world.files() if path.suffix == ".parquet"]
    files = [path for path in files if "rejects" not in path.parts and "half" not in path.parts]
    before = {name: qibox(*command).stdout for name, command in readers.items()}
    wrong = []
    for _ in range(count):
        path = rng.choice(files)
        top = path.relative_to(world.run).parts[0]
        name = "rates" if path.name == "rates.parquet" else views.get(top, top)
        content = path.read_bytes()
        changed = bytearray(content)
        bit = rng.randrange(8 * len(content))
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        case, query = f"bit {bit} of {path.relative_to(world.run)}", f"sql {name}"
        wrong += tried(case, readers[query], path, before[query], printed)
        path.write_bytes(content)
    return wrong


def sweep_writer(world: World, name: str, paths: list[Path]) -> list[str]:
    """The same for a command that writes; each time it finds the run as it was, but for a file."""
    command, figure = world.writers()[name]
    kept = world.run.with_name("kept")
    shutil.copytree(world.run, kept)
    before = figure(qibox(*command))
    wrong: list[str] = []
    for path in paths:
        for damage in DAMAGES:
            shutil.rmtree(world.run)
            shutil.copytree(kept, world.run)
            damage(path)
            case = f"{name} after {damage.__name__} of {path.relative_to(world.run)}"
            wrong += tried(case, command, path, before, figure)
    shutil.rmtree(world.run)
    kept.rename(world.run)
    return wrong


def main() -> None:
    """Flip bits, and sweep all files by all commands, or a part of that."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--only", action="append", help="bits, readers, or a command that writes")
    parser.add_argument("--share", type=int, nargs=2, default=(0, 1), metavar=("I", "N"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder))
        first, step = arguments.share
        files = world.files()[first::step]
        faults_of: list[str] = []
        for part in arguments.only or ("bits", "readers", *world.writers()):
            if part == "bits":
                cases, wrong = arguments.flips, flip_bits(world, arguments.flips)
            elif part == "readers":
                commands = world.readers()
                cases = len(files) * len(DAMAGES) * len(commands)
                wrong = sweep(world, commands, files)
            else:
                cases, wrong = len(files) * len(DAMAGES), sweep_writer(world, part, files)
            print("\n".join([*wrong, f"{part}: {cases} cases, {len(wrong)} faults"]), flush=True)
            faults_of += wrong
    sys.exit(bool(faults_of))


if __name__ == "__main__":
    main()
