"""What is left to do: all units of a run, which of them are done, and the waves of the rest.

A **wave** is all pending units that need the same engine: one for each panel model, one for each
judge, then one for the scores. Reads file footers only and knows nothing of Beam.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import count, groupby

import pyarrow as pa
import pyarrow.parquet as pq

from qibox.run.directory import PoolIndex, Run
from qibox.run.storage import KEY, Storage
from qibox.run.units import Stage, Unit

STAGE_FOLDERS: tuple[Stage, ...] = ("responses", "judgments", "scores")
OUTDATED = "outdated"  # where files go that the manifest has no place for any more
READERS = 16  # footers read at once; on an object store each waits for the network


@dataclass(frozen=True, slots=True)
class Footer:
    """What a Parquet file's footer tells: its unit's key and its rows, without reading any."""

    key: str | None
    rows: int
    failed: int  # rows with a reason


@dataclass(frozen=True)
class Wave:
    """All units of one stage and one engine; ``pending`` are those whose file is not there."""

    stage: Stage
    name: str  # responses-<model> | judgments-<judge> | scores
    units: tuple[Unit, ...]
    pending: tuple[Unit, ...]
    sizes: tuple[int, ...]  # rows that a unit's file holds once done, by its shard

    @cached_property
    def total_rows(self) -> int:
        """Rows of all units."""
        return sum(self.sizes[unit.shard] for unit in self.units)

    @cached_property
    def pending_rows(self) -> int:
        """Rows of the units still to do."""
        return sum(self.sizes[unit.shard] for unit in self.pending)

    def shards(self) -> list[tuple[Unit, ...]]:
        """The pending units, those of one shard together, in the order of the shards."""
        ordered = sorted(self.pending, key=lambda unit: unit.shard)
        return [tuple(units) for _, units in groupby(ordered, key=lambda unit: unit.shard)]


@dataclass(frozen=True)
class Plan:
    """A run's waves in the order of work, and the files that none of its units accounts for."""

    waves: tuple[Wave, ...]
    footers: dict[str, Footer]  # of the files that are done, by path
    outdated: tuple[str, ...]  # files of another manifest, to be set aside

    @property
    def pending(self) -> int:
        """Units still to do, over all waves."""
        return sum(len(wave.pending) for wave in self.waves)


def make_plan(run: Run, index: PoolIndex) -> Plan:
    """List a run's waves; a unit is done if its file is there under the unit's key."""
    present = [name for stage in STAGE_FOLDERS for name in run.storage.files(stage)]
    footers = read_footers(run.storage, present)
    answered = tuple(size * run.manifest.panel.sampling.samples for size in index.sizes)
    waves = tuple(
        Wave(
            stage=units[0].stage,
            name=wave_name(units[0]),
            units=units,
            pending=tuple(u for u in units if not _is_done(u, footers)),
            sizes=index.sizes if units[0].stage == "scores" else answered,
        )
        for units in wave_units(run, index.keys)
        if units
    )
    done = {u.path for wave in waves for u in wave.units if _is_done(u, footers)}
    return Plan(
        waves=waves,
        footers={path: footers[path] for path in done},
        outdated=tuple(name for name in present if name not in done),
    )


def wave_units(run: Run, keys: tuple[str, ...]) -> list[tuple[Unit, ...]]:
    """The units of each wave of a run whose pool's shards have these keys, in order of work."""
    manifest = run.manifest
    return [
        *(tuple(run.responses_units(model, keys)) for model in manifest.panel.models),
        *(tuple(run.judgments_units(judge, keys)) for judge in manifest.judges),
        tuple(run.scores_units(keys)),
    ]


def wave_name(unit: Unit) -> str:
    """The name of the wave that a unit belongs to."""
    if unit.stage == "scores":
        return "scores"
    return f"{unit.stage}-{unit.model if unit.stage == 'responses' else unit.judge}"


def read_footers(storage: Storage, names: Iterable[str]) -> dict[str, Footer]:
    """The footers of these files, by name; files that are gone meanwhile are left out."""
    names = list(names)
    with ThreadPoolExecutor(READERS) as pool:
        found = pool.map(lambda name: read_footer(storage, name), names)
        return {name: footer for name, footer in zip(names, found, strict=True) if footer}


def read_footer(storage: Storage, name: str) -> Footer | None:
    """A file's footer; None if there is no such file. A damaged file is one without a key."""
    try:
        with storage.reading(name) as file:
            parquet = pq.ParquetFile(file)
            key = (parquet.schema_arrow.metadata or {}).get(KEY)
            return Footer(
                key=key.decode() if key else None,
                rows=parquet.metadata.num_rows,
                failed=_failed(parquet),
            )
    except FileNotFoundError:
        return None
    except (pa.ArrowInvalid, OSError):
        return Footer(key=None, rows=0, failed=0)  # never taken for done: set aside and made again


def set_aside(storage: Storage, names: Iterable[str]) -> None:
    """Move files that belong to another manifest under ``outdated/``, so that no table has them."""
    for name in names:
        target = next(
            path
            for copy in count(1)
            if not storage.fs.exists(path := storage.path(_aside(name, copy)))
        )
        storage.fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        storage.fs.mv(storage.path(name), target)


def _aside(name: str, copy: int) -> str:
    """Where a file is set aside; what was set aside before it stays."""
    return f"{OUTDATED}/{name}" if copy == 1 else f"{OUTDATED}/again-{copy}/{name}"


def _failed(parquet: pq.ParquetFile) -> int:
    """Rows whose ``reason`` is set, from the column's statistics."""
    if "reason" not in parquet.schema_arrow.names:
        return 0
    metadata = parquet.metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    if not groups:
        return 0
    column = next(
        i for i in range(groups[0].num_columns) if groups[0].column(i).path_in_schema == "reason"
    )
    statistics = [group.column(column).statistics for group in groups]
    if any(s is None or not s.has_null_count for s in statistics):
        return len(parquet.read(["reason"])["reason"].drop_null())
    return sum(g.num_rows - s.null_count for g, s in zip(groups, statistics, strict=True))


def _is_done(unit: Unit, footers: dict[str, Footer]) -> bool:
    footer = footers.get(unit.path)
    return footer is not None and footer.key == unit.key
