"""Stops long commands by Ctrl-C at random moments, and sees how each ends.

Each must be done, or end with status 130 within ten seconds and one sentence, without a traceback,
a child or a lock. The moments are drawn from when the command hears signals, some 0.15 s after its
start: what comes before is the interpreter's own. ``tests/test_interrupts.py`` takes a few of each;
as many as are asked for:

    python -m tests.tools.interrupts --each 30
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from qibox.run.storage import Storage
from qibox.scoring.lock import holder
from tests.commands import qibox
from tests.evaluations import write_world
from tests.recordings import record

LONGEST_S = 10.0  # from the signal to the end
MARK = "QIBOX_INTERRUPTED"  # in the environment of all that a command starts
NOISE = re.compile(r"Traceback|Exception ignored|FATAL|Fatal|nanobind|terminate called|Error:")
LONG_QUERY = (
    "select count(*) from range(1000000) a, range(1000000) b where hash(a.range + b.range) = 3"
)
Number = signal.Signals


@dataclass(frozen=True)
class Kind:
    """A command that works for some seconds, and where it writes."""

    arguments: Callable[[Path], list[object]]  # given a directory of its own
    seconds: float  # the last moment that is drawn
    runs: str = "run"  # where in that directory its run is
    world: Path | None = None  # what that directory is a copy of


@dataclass
class Outcome:
    """How one interrupted command ended."""

    status: int
    seconds: float  # from the signal to the end
    faults: list[str] = field(default_factory=list)


def kinds(folder: Path) -> dict[str, Kind]:
    """A command of each kind, over worlds made in a folder."""
    many = record(folder / "many", 4000, k=5, shard_size=20)
    few = record(folder / "few", 400, shard_size=200)
    made = folder / "made"
    score = ["score", "--judge", "hash", "--pool"]
    done = qibox(*score, few / "pool.yaml", "--panel", few / "panel.yaml", "--out", made / "run")
    assert done.status == 0, done.stderr
    assert qibox("select", made / "run", "--random", 300).status == 0
    write_world(folder / "world", 400)
    pools = ["--pool", folder / "world/held.yaml", "--pool", folder / "world/kept.yaml"]
    played = ["--policy", "first", "--policy", "second", "--replay", folder / "world/answers"]
    train = ["--steps", 2000, "--policy", "builtin:policy", "--name", "new", "--save-every", 2]
    panel = ["--panel", many / "panel.yaml"]
    return {
        "score, models": Kind(lambda d: ["score", "--limit", 60, "--out", d / "run"], 25),
        "score, threads": Kind(
            lambda d: [*score, many / "pool.yaml", *panel, "--out", d / "run"], 8
        ),
        "train": Kind(lambda d: ["train", d / "run", *train], 20, world=made),
        "eval": Kind(lambda d: ["eval", d / "run", *pools, *played], 6, world=folder / "world"),
        "select": Kind(
            lambda d: ["select", d / "run", "--random", 200, "--name", "other"], 1.5, world=made
        ),
        "sql": Kind(lambda d: ["sql", d / "run", LONG_QUERY], 5, world=made),
        "train, 2 processes": Kind(
            lambda d: ["train", d / "run", *train, "--processes", 2], 30, world=made
        ),
    }


def interrupt(
    kind: Kind, moment: float, folder: Path, number: Number = signal.SIGINT, times: int = 1
) -> Outcome:
    """Start a command, interrupt it after so many seconds, and see how it ends."""
    if kind.world is not None:
        shutil.copytree(kind.world, folder)
    if signal.getsignal(number) is signal.SIG_IGN:  # as a shell starts what it runs in background
        signal.signal(number, signal.SIG_DFL)  # else the command would ignore it too
    mark = uuid.uuid4().hex
    with (folder.parent / "said").open("w+b") as said:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "qibox.cli", *map(str, kind.arguments(folder))],
            env={**os.environ, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        while process.poll() is None and not hears(process.pid):
            time.sleep(0.005)
        time.sleep(moment)
        started = time.monotonic()
        for time_ in range(times):
            time.sleep(0.3 * bool(time_))
            process.send_signal(number)
        hung = False
        try:
            process.wait(2 * LONGEST_S)
        except subprocess.TimeoutExpired:
            hung = True
            process.kill()
            process.wait()
        seconds = time.monotonic() - started
        said.seek(0)
        words = said.read().decode("utf-8", "replace")
    found = Outcome(process.returncode, seconds)
    found.faults = list(faults(found, words, number, hung=hung))
    found.faults += [f"left {who}" for who in end_marked(mark)]
    found.faults += [f"a lock is left: {lock}" for lock in locks(folder / kind.runs)]
    return found


def hears(process: int) -> bool:
    """Whether a process has come to where it hears signals: Python alone leaves SIGTERM be."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    caught = re.search(r"SigCgt:\s*([0-9a-f]+)", status)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def faults(found: Outcome, words: str, number: Number, *, hung: bool) -> list[str]:
    """What is wrong with how a command ended, by what it said."""
    wrong = []
    if hung:
        wrong.append("it hung")
    elif found.seconds > LONGEST_S:
        wrong.append(f"it took {found.seconds:.1f} s")
    stopped = found.status == 128 + number
    if not stopped and found.status not in (0, -number):
        wrong.append(f"status {found.status}")
    lines = [line for line in words.splitlines() if line.strip()]
    if stopped and (sum(line.startswith("Stopped by ") for line in lines) != 1):
        wrong.append("no one sentence")
    if stopped and "as it stood" in words:
        wrong.append("it was ended as it stood")
    if NOISE.search(words):
        wrong.append("noise")
    return [f"{fault}: {' / '.join(lines[-12:])}" for fault in wrong]


def end_marked(mark: str) -> list[str]:
    """End all processes that carry a mark; gives back which there were."""
    left = []
    until = time.monotonic() + 1.0  # for those that are being ended
    while alive := marked(mark):
        if time.monotonic() > until:
            for process in alive:
                left.append(Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")[:80])
                os.kill(process, signal.SIGKILL)
            break
        time.sleep(0.05)
    return left


def marked(mark: str) -> list[int]:
    """Processes that carry a mark and have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def locks(run: Path) -> list[str]:
    """Locks of a run that are held, or that name somebody who held them."""
    if not run.exists():
        return []
    held = holder(Storage(run))
    return ([held] if held else []) + [
        lock.read_text() for lock in run.rglob(".*lock") if lock.stat().st_size
    ]


def interrupt_each(
    chosen: dict[str, Kind], each: int, seed: int, tell: Callable[[str], None] = print
) -> dict[str, list[Outcome]]:
    """Interrupt each kind so many times, at moments that the seed decides."""
    found: dict[str, list[Outcome]] = {}
    for name, kind in chosen.items():
        rng = random.Random(f"{seed} {name}")
        for _ in range(each):
            moment = rng.uniform(0, kind.seconds)
            with tempfile.TemporaryDirectory() as folder:
                outcome = interrupt(kind, moment, Path(folder) / "own")
            found.setdefault(name, []).append(outcome)
            for fault in outcome.faults:
                tell(f"{name} at {moment:.3f} s: {fault}")
    return found


def table(found: dict[str, list[Outcome]]) -> str:
    """What came of it, a line a kind, in Markdown."""
    lines = ["| command | interrupts | 130 | done before | anything else | longest |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    for name, outcomes in found.items():
        ends = Counter("else" if o.faults else "130" if o.status == 130 else "0" for o in outcomes)
        longest = max(outcome.seconds for outcome in outcomes)
        counts = f"{len(outcomes)} | {ends['130']} | {ends['0']} | {ends['else']}"
        lines.append(f"| {name} | {counts} | {longest:.1f} s |")
    return "\n".join(lines)


def main() -> None:
    """Interrupt all kinds, or those that are named, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", help="may be repeated; default: all")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        every = kinds(Path(folder))
        chosen = {name: every[name] for name in arguments.kind or every}
        found = interrupt_each(chosen, arguments.each, arguments.seed)
    print(table(found))
    sys.exit(any(outcome.faults for outcomes in found.values() for outcome in outcomes))


if __name__ == "__main__":
    main()
