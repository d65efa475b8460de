"""Which waves are worked off in one go: a model's by itself, those without one shard by shard.

A model fills a machine, so a wave that needs one has it to itself. Where nothing is held (recorded
responses, a judge that knows or derives its verdicts, the scores), waves that follow each other
become one **turn**: all that is pending of a shard is done before the next one is begun, and each
table goes from one stage to the next in memory (:mod:`qibox.scoring.handing`).
"""

import pickle
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from qibox.manifests.panel import Accelerator
from qibox.run.units import Unit
from qibox.scoring.plan import Wave
from qibox.scoring.stage import Stage

ShardWork = tuple[tuple[int, tuple[Unit, ...]], ...]  # stage's number and its units, in order


def packed(work: ShardWork) -> bytes:
    """A shard's work for a runner, which keeps several copies of all that it is given."""
    return zlib.compress(pickle.dumps(work), level=1)


def unpacked(work: bytes) -> ShardWork:
    """What :func:`packed` was given."""
    found: ShardWork = pickle.loads(zlib.decompress(work))
    return found


@dataclass(frozen=True)
class Turn:
    """Waves that one pipeline works off: a single one, or several that hold no model."""

    waves: tuple[Wave, ...]

    @cached_property
    def name(self) -> str:
        """What a person calls it: its wave, or what is made in it."""
        folders = groupby(self.waves, key=lambda wave: wave.stage.folder)
        return ", ".join(_named(folder, list(waves)) for folder, waves in folders)

    @property
    def stages(self) -> tuple[Stage[Any], ...]:
        """Of its waves, in order."""
        return tuple(wave.stage for wave in self.waves)

    @property
    def pending(self) -> bool:
        """Whether there is anything to do."""
        return any(wave.pending for wave in self.waves)

    @property
    def light(self) -> bool:
        """Whether no model is held, so that threads work side by side."""
        return all(stage.light for stage in self.stages)

    @property
    def accelerator(self) -> Accelerator | None:
        """What the wave's model needs of a machine; waves that go together have none."""
        return self.waves[0].stage.accelerator if len(self.waves) == 1 else None

    @cached_property
    def total_rows(self) -> int:
        """Rows of all units."""
        return sum(wave.total_rows for wave in self.waves)

    @cached_property
    def pending_rows(self) -> int:
        """Rows still to make."""
        return sum(wave.pending_rows for wave in self.waves)

    def shards(self) -> list[ShardWork]:
        """The pending units, those of one shard together in the order of their stages."""
        work: dict[tuple[str, int], list[tuple[int, tuple[Unit, ...]]]] = {}
        for number, wave in enumerate(self.waves):
            for units in wave.shards():
                place = (units[0].home, units[0].shard)
                work.setdefault(place, []).append((number, units))
        return [tuple(work[place]) for place in sorted(work)]


def turns_of(waves: Sequence[Wave], *, together: bool) -> list[Turn]:
    """The turns in which waves are worked off, in their order.

    ``together``: waves that have nothing to do are left out, and those without a model are joined.
    Else each wave is a turn: where rows are mended, what one changes is what the next has to do.
    """
    if not together:
        return [Turn((wave,)) for wave in waves]
    turns: list[Turn] = []
    pending = (wave for wave in waves if wave.pending)
    for light, each in groupby(pending, key=lambda wave: wave.stage.light):
        found = tuple(each)
        turns += [Turn(found)] if light else [Turn((wave,)) for wave in found]
    return turns


def _named(folder: str, waves: Sequence[Wave]) -> str:
    return waves[0].name if len(waves) == 1 else f"{folder} ({len(waves)})"
