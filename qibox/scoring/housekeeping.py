"""What a run's parts take on its storage, and which of them may go; for `qibox clean`.

Nothing here removes a pool, a selection or a trained policy, nor what is needed to go on from where
a run is, unless it was named; and each removal says what depends on what goes.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from qibox.errors import UsageError, command
from qibox.run.directory import Run
from qibox.run.finished import POLICY_FILE
from qibox.run.storage import Storage
from qibox.scoring.footers import OUTDATED
from qibox.scoring.lock import locked

HALF = "half-written files"
REST = "run.yaml and other files"
_HALF = re.compile(r"(?:.*/)?\.[^/]+\.[0-9a-f]{32}")  # see Storage.writing
_TRAINING = re.compile(r"policies/(?P<name>[^/]+)/training")
_PARTS = (  # the first that a file's name begins with is its part
    _TRAINING,
    re.compile(r"judgments/judge=[^/]+|responses/model=[^/]+"),
    re.compile(r"(?:selections|policies|profiles|evaluations|comparisons)/[^/]+"),
    re.compile(r"(?:outdated|pool|rejects|scores|progress|figures|audits|labels|likeness)"),
)


@dataclass(frozen=True)
class Part:
    """A part of a run: a folder, or files of one kind."""

    name: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Removal:
    """A file or folder that is to go, and what follows from that."""

    name: str
    files: int
    bytes: int
    then: str


@dataclass(frozen=True)
class Wanted:
    """What is to go; all empty: what nothing reads any more, and trainings that were not ended."""

    outdated: bool = False
    checkpoints: bool = False
    models: Sequence[str] = ()
    judges: Sequence[str] = ()
    evaluations: Sequence[str] = ()

    @property
    def settled(self) -> "Wanted":
        """The same, with what goes where nothing is named."""
        named = self.outdated or self.checkpoints
        named = named or bool([*self.models, *self.judges, *self.evaluations])
        return self if named else Wanted(outdated=True, checkpoints=True)


def parts_of(storage: Storage) -> list[Part]:
    """The parts of a run by size, the largest first."""
    found: dict[str, list[int]] = {}
    for name, size in storage.sizes().items():
        found.setdefault(_part(name), []).append(size)
    parts = (Part(name, len(sizes), sum(sizes)) for name, sizes in found.items())
    return sorted(parts, key=lambda part: (-part.bytes, part.name))


def _part(name: str) -> str:
    if _HALF.fullmatch(name):
        return HALF
    found = next((m for kind in _PARTS if (m := kind.match(f"{name}/"))), None)
    return found.group() if found is not None else REST


def removals(run: Run, wanted: Wanted) -> list[Removal]:
    """What is to go, in order.

    Raises:
        UsageError: a model, judge or benchmark that has nothing here; the message names those that
            have.
    """
    sizes = run.storage.sizes()
    return [*_leftovers(run, sizes, wanted.settled), *_named(run, sizes, wanted)]


def _leftovers(run: Run, sizes: dict[str, int], wanted: Wanted) -> Iterator[Removal]:
    if wanted.outdated:
        then = "tables of earlier manifests, which nothing reads"
        yield from _removal(sizes, OUTDATED, then)
        for name in filter(_HALF.fullmatch, sizes):
            yield Removal(name, 1, sizes[name], "half-written by a process that was killed")
    if wanted.checkpoints:
        for folder in sorted({m.group() for n in sizes if (m := _TRAINING.match(n))}):
            if f"{folder}/{POLICY_FILE}" not in sizes:  # else a whole policy, not in its place yet
                then = "checkpoints of a training that was not ended, which would begin anew"
                yield from _removal(sizes, folder, then)


def _named(run: Run, sizes: dict[str, int], wanted: Wanted) -> Iterator[Removal]:
    again = f"{command('score', out=run.url)} with the options of this run"
    for model in wanted.models:
        folder = _existing(run, sizes, "responses/model=", model, "model")
        then = f"its judgments go too; scores/ stay as they are; {again} asks it again"
        yield from _removal(sizes, folder, then)
        for judged in sorted(_folders(sizes, rf"judgments/judge=[^/]+/model={re.escape(model)}")):
            yield from _removal(sizes, judged, "verdicts on what goes")
    for judge in wanted.judges:
        folder = _existing(run, sizes, "judgments/judge=", judge, "judge")
        counts = judge == run.manifest.judges[0].name
        of = "scores/ are made of it and stay as they are" if counts else "no score is made of it"
        yield from _removal(sizes, folder, f"{of}; {again} rates again")
    for pool in wanted.evaluations:
        folder = _existing(run, sizes, "evaluations/", pool, "evaluation")
        asks = command("eval", run.url, pool=pool)
        then = f"policies' answers and verdicts; {asks} asks again"
        yield from _removal(sizes, folder, then)


def _removal(sizes: dict[str, int], folder: str, then: str) -> Iterator[Removal]:
    inside = [size for name, size in sizes.items() if name.startswith(f"{folder}/")]
    if inside:
        yield Removal(folder, len(inside), sum(inside), then)


def _existing(run: Run, sizes: dict[str, int], head: str, name: str, what: str) -> str:
    there = sorted(f.removeprefix(head) for f in _folders(sizes, rf"{re.escape(head)}[^/]+"))
    if name not in there:
        raise UsageError(
            f"no {what} '{name}' has anything in {run.url}: there is {', '.join(there) or 'none'}"
        )
    return f"{head}{name}"


def _folders(sizes: dict[str, int], pattern: str) -> set[str]:
    return {found.group() for name in sizes if (found := re.match(rf"{pattern}(?=/)", name))}


def remove(run: Run, these: Sequence[Removal]) -> None:
    """Remove them, while no other command writes the run or trains into it.

    Raises:
        QiboxError: another command is at work there; nothing was removed.
    """
    with ExitStack() as held:
        held.enter_context(locked(run.storage))
        for each in these:
            if training := _TRAINING.fullmatch(each.name):
                name = training["name"]
                where = f"{run.url}/policies/{name}"
                held.enter_context(locked(run.storage, f"policies/.{name}.lock", where))
        for each in these:
            run.storage.remove(each.name)
