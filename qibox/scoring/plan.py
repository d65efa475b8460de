"""What is left to do: all units of some runs, which of them are done, and the waves of the rest.

A unit is done if its file stands under its key, and was made of the files that it depends on as
they stand now (:mod:`qibox.scoring.mending`).

A **wave** is all pending units that need the same engine: one for each model, one for each judge,
then one for the scores. Runs that lie in one storage are planned together, so that a model that
answers several of them is started once. Reads file footers only,
unless it is told to verify.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count, groupby
from typing import TYPE_CHECKING, Any

from qibox.run.directory import PoolIndex, Run
from qibox.run.storage import Storage
from qibox.run.units import Shard, Unit
from qibox.scoring.footers import OUTDATED, Footer, read_footers, read_through
from qibox.scoring.mending import find_mends, is_stale
from qibox.scoring.stage import Stage
from qibox.scoring.stages import STAGE_FOLDERS, stages_of

if TYPE_CHECKING:
    from qibox.scoring.begun import Begun


@dataclass(frozen=True)
class Job:
    """A run whose pool has been read, and whom of its manifest to ask."""

    run: Run
    index: PoolIndex
    models: frozenset[str] | None = None  # only these models' units; null: all
    judges: frozenset[str] | None = None  # only these judges'; null: all
    places: Mapping[str, str] = field(default_factory=dict)  # of weights, see Stage.located
    only: frozenset[str] | None = None  # waves to work on, the others are counted; null: all
    begun: "Begun | None" = None  # no table stood when its pool was begun to be read

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The samples to work on; a borrowed pool may be wanted in part."""
        limit = self.run.manifest.limit if self.run.borrows_pool else None
        return self.index.shards(limit)

    def wants(self, unit: Unit) -> bool:
        """Whether a unit is to be done."""
        model = self.models is None or not unit.model or unit.model in self.models
        judge = self.judges is None or not unit.judge or unit.judge in self.judges
        return model and judge


@dataclass(frozen=True)
class Wave:
    """All units of one stage; ``pending`` are those whose file is not there or is to be mended."""

    stage: Stage[Any]
    units: tuple[Unit, ...]
    pending: tuple[Unit, ...]

    @property
    def name(self) -> str:
        """responses-<model>, judgments-<judge> or scores."""
        return self.stage.name

    @cached_property
    def total_rows(self) -> int:
        """Rows of all units."""
        return self.stage.per_sample * sum(unit.samples for unit in self.units)

    @cached_property
    def pending_rows(self) -> int:
        """Rows still to make."""
        each = self.stage.per_sample
        return sum(u.mend.rows if u.mend else each * u.samples for u in self.pending)

    @property
    def mends(self) -> tuple[Unit, ...]:
        """The pending units whose file stands."""
        return tuple(unit for unit in self.pending if unit.mend is not None)

    def shards(self) -> list[tuple[Unit, ...]]:
        """The pending units, those of one shard together, in the order of the shards."""
        ordered = sorted(self.pending, key=lambda unit: (unit.home, unit.shard))
        return [tuple(us) for _, us in groupby(ordered, key=lambda unit: (unit.home, unit.shard))]


@dataclass(frozen=True)
class Plan:
    """Waves in the order of work, and the files that no unit of the runs accounts for."""

    waves: tuple[Wave, ...]
    footers: Mapping[str, Footer]  # of the files that are up to date, by path
    outdated: tuple[str, ...]  # files of another manifest, to be set aside
    damaged: Mapping[str, str]  # files that are not what was written, and what is wrong with each

    @property
    def pending(self) -> int:
        """Units still to do, over all waves."""
        return sum(len(wave.pending) for wave in self.waves)


def make_plan(*jobs: Job, retry: str | None = None, verify: bool = False) -> Plan:
    """List the waves of runs in one storage.

    With ``retry``, failed rows whose reason holds that text are to be asked again, those of a
    stage as they stand now: what mending them changes in later stages is known only then. With
    ``verify`` every file is read through, and a unit whose file is damaged is not done.
    """
    storage = jobs[0].run.storage
    present = (name for job in jobs if job.begun is None for name in _tables(job.run))
    footers = read_footers(storage, present)
    damaged = {name: f.damage for name, f in footers.items() if f.damage is not None}
    if verify:
        damaged |= read_through(storage, (name for name in footers if name not in damaged))
        footers = {name: footer for name, footer in footers.items() if name not in damaged}
    waves: list[tuple[Stage[Any], list[Unit]]] = []
    standing: dict[str, Unit] = {}
    idle: set[str] = set()
    for job in jobs:
        for stage in stages_of(job.run):
            units = stage.units(job.run, job.shards)
            standing.update({unit.path: unit for unit in units if _stands(unit, footers)})
            if job.only is not None and stage.name not in job.only:
                idle.update(unit.path for unit in units)
            _join(waves, stage.located(job.places), [unit for unit in units if job.wants(unit)])
    folders = [stage.folder for stage, _ in waves]
    order = sorted(range(len(waves)), key=lambda i: STAGE_FOLDERS.index(folders[i]))
    kept = {path: footers[path] for path in standing}
    outdated = tuple(n for n in footers if n not in standing and n not in damaged)
    del footers  # with the names of thousands of files
    return Plan(
        waves=tuple(_wave(*waves[i], storage, kept, retry, idle) for i in order),
        footers={path: kept[path] for path, unit in standing.items() if not is_stale(unit, kept)},
        outdated=outdated,
        damaged={name: damage for name, damage in damaged.items() if name not in idle},
    )


def _join(
    waves: list[tuple[Stage[Any], list[Unit]]], stage: Stage[Any], units: Sequence[Unit]
) -> None:
    """Add a stage's units to the wave of an equal stage, or as a wave of their own."""
    if not units:
        return
    for other, others in waves:
        if other == stage:
            others.extend(units)
            return
    waves.append((stage, list(units)))


def _wave(
    stage: Stage[Any],
    units: Sequence[Unit],
    storage: Storage,
    standing: Mapping[str, Footer],
    retry: str | None,
    idle: Set[str],
) -> Wave:
    asked = retry if stage.asks else None
    wanted = [unit for unit in units if unit.path not in idle]
    mends = find_mends(
        wanted, standing, asked, lambda unit, reason: stage.rows_to_mend(storage, unit, reason)
    )
    pending = (
        replace(unit, mend=mends[unit.path]) if unit.path in mends else unit
        for unit in wanted
        if unit.path in mends or unit.path not in standing
    )
    return Wave(stage, tuple(units), tuple(pending))


def _tables(run: Run) -> list[str]:
    """The files that stand where a run's tables lie."""
    return [n for folder in STAGE_FOLDERS for n in run.storage.files(f"{run.home}{folder}")]


def _stands(unit: Unit, footers: Mapping[str, Footer]) -> bool:
    footer = footers.get(unit.path)
    return footer is not None and footer.key == unit.key


def set_aside(storage: Storage, names: Iterable[str]) -> None:
    """Move files that belong to another manifest under ``outdated/``, so that no table has them."""
    for name in names:
        target = next(aside for copy in count(1) if not storage.exists(aside := _aside(name, copy)))
        storage.move(name, target)


def _aside(name: str, copy: int) -> str:
    """Where a file is set aside; what was set aside before it stays."""
    return f"{OUTDATED}/{name}" if copy == 1 else f"{OUTDATED}/again-{copy}/{name}"
