"""How long each turn of a probe takes, and which part of that is for starting what it holds.

A turn's first shard stands after its model was started; every further one takes what its samples
take. So seconds a sample are read from the times between shards, and the rest is the start.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from qibox.run.storage import Storage
from qibox.scoring.turns import Turn
from qibox.scoring.watcher import Advance, Watcher


@dataclass(frozen=True)
class Step:
    """What one turn takes, however many samples there are."""

    name: str  # responses-<model>, judgments-<judge>, or what is made together
    folders: tuple[str, ...]  # responses | judgments | scores
    models: tuple[str, ...]  # of the panel, if it is they who answer
    copies: int  # accelerators that one copy needs; 0: none
    start_s: float
    sample_s: float


class Stopwatch:
    """Watches as another watcher does, and keeps the time."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self.steps: list[Step] = []
        self.reading_s = 0.0
        self.turns_s = 0.0

    def remark(self, text: str) -> None:
        """As the other has it."""
        self._watcher.remark(text)

    @contextmanager
    def reading(self) -> Iterator[Advance]:
        """As the other has it; the seconds are kept."""
        began = time.monotonic()
        with self._watcher.reading() as advance:
            yield advance
        self.reading_s += time.monotonic() - began

    @contextmanager
    def turn(self, storage: Storage, turn: Turn) -> Iterator[None]:
        """As the other has it; at its end the turn is a step."""
        watched: AbstractContextManager[None] = self._watcher.turn(storage, turn)
        began = time.time()
        with watched:
            yield
        took = time.time() - began
        self.turns_s += took
        self.steps.append(_step(storage, turn, took))


def _step(storage: Storage, turn: Turn, took: float) -> Step:
    stands: dict[int, float] = {}  # when the last file of each shard did
    samples: dict[int, int] = {}
    for wave in turn.waves:
        for unit in wave.pending:
            written = Path(storage.path(unit.path)).stat().st_mtime
            stands[unit.shard] = max(stands.get(unit.shard, 0.0), written)
            samples[unit.shard] = unit.samples
    first, *others = sorted(stands, key=stands.__getitem__)
    each = took / samples[first]
    if others:
        between = stands[others[-1]] - stands[first]
        each = min(took / sum(samples.values()), between / sum(samples[s] for s in others))
    accelerator = turn.accelerator
    return Step(
        name=turn.name,
        folders=tuple(dict.fromkeys(wave.stage.folder for wave in turn.waves)),
        models=tuple(
            {u.model: None for w in turn.waves if w.stage.folder == "responses" for u in w.pending}
        ),
        copies=0 if accelerator is None else accelerator.count,
        start_s=max(0.0, took - each * sum(samples.values())),
        sample_s=each,
    )
