"""What became of every row: in = scored + not scored, by stage and reason, from the files alone.

Reads the footers of a run's tables, and the ``reason`` column of those with failed rows. Works
while the run is going, on any runner: a unit that is not finished counts as still to do.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from qibox.judges.people import NO_LABEL
from qibox.run.directory import PoolIndex, Run
from qibox.run.reading import side_by_side
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.footers import Footer
from qibox.scoring.generate import AskModel
from qibox.scoring.plan import Job, Plan, Wave
from qibox.scoring.shares import ModelShare, model_shares
from qibox.scoring.stages import stages_of


@dataclass(frozen=True)
class StageCount:
    """One stage's rows: total = good + failed + pending."""

    name: str  # pool | responses | judgments | scores
    total: int
    good: int
    failed: int
    pending: int
    reasons: Mapping[str, int]  # of the failed rows
    mended: int = 0  # of the good rows, those that had failed when the command began
    failed_again: int = 0  # of the failed ones, those that it asked again

    @property
    def lost(self) -> int:
        """The failed rows but for those that nobody has labelled, which is no failure."""
        return self.failed - self.reasons.get(NO_LABEL, 0)

    @property
    def reject_rate(self) -> float:
        """Share of the rows done that were lost, in [0, 1]; 0 where none is done."""
        done = self.good + self.lost
        return self.lost / done if done else 0.0


@dataclass(frozen=True)
class Summary:
    """A run's account: each stage, and what became of the rows that were read."""

    stages: tuple[StageCount, ...]
    read: int  # rows of the source
    duplicates: int  # of them, merged into an equal sample
    makes_scores: bool = True  # false where policies answer
    models: tuple[ModelShare, ...] = ()  # of whom there are responses

    @property
    def scored(self) -> int:
        """Samples with a quality and an instability; where nothing is scored, all samples."""
        return self.stages[-1].good if self.makes_scores else self.stages[0].good

    @property
    def not_scored(self) -> dict[str, int]:
        """Rows that were read and have no scores, by the stage where they ended."""
        scores = self.stages[-1]
        counts = {
            "pool: refused": self.stages[0].failed,
            "pool: duplicate of a sample": self.duplicates,
            "scores: too few judgments": scores.failed if self.makes_scores else 0,
            "scores: still to do": scores.pending if self.makes_scores else 0,
        }
        return {name: count for name, count in counts.items() if count}

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return not any(stage.pending for stage in self.stages)

    @property
    def worst(self) -> StageCount:
        """The stage with the highest share of failed rows."""
        return max(self.stages, key=lambda stage: stage.reject_rate)


def summarise(job: Job, plan: Plan, mended: Sequence[Unit] = ()) -> Summary:
    """Count a run's rows; in = scored + not scored holds by construction and is asserted.

    ``mended`` are the units of which rows were asked again, as they were planned.
    """
    run, index = job.run, job.index
    makes_scores = run.manifest.scored
    stages = [pool_count(run, index)]
    for folder in dict.fromkeys(stage.folder for stage in stages_of(run)):
        waves = [wave for wave in plan.waves if wave.stage.folder == folder]
        stages.append(_stage_count(run, folder, waves, plan.footers, mended))
    models = _shares(run, plan)
    summary = Summary(tuple(stages), index.read, index.duplicates, makes_scores, models)
    assert index.read == summary.scored + sum(summary.not_scored.values())
    return summary


def pool_count(run: Run, index: PoolIndex) -> StageCount:
    """Count the rows that were read, and those refused by reason, the commonest first."""
    files = run.storage.files(f"{run.pool_home}rejects") if index.rejected else []
    reasons = _count_reasons(run.storage, files)
    return StageCount("pool", index.read, index.samples, index.rejected, 0, reasons)


def _shares(run: Run, plan: Plan) -> tuple[ModelShare, ...]:
    """What the responses are like that there are of one run's models."""
    expected = {
        name: spec.reasoning is not None for name, spec in run.manifest.panel.models.items()
    }
    waves = (wave for wave in plan.waves if wave.stage.folder == AskModel.folder)
    units = (unit for wave in waves for unit in wave.units if unit.home == run.home)
    done = [unit for unit in units if unit.path in plan.footers]
    return model_shares(run.storage, done, expected, plan.footers)


def _stage_count(
    run: Run,
    folder: str,
    waves: list[Wave],
    footers: Mapping[str, Footer],
    mended: Sequence[Unit],
) -> StageCount:
    """Count the rows of one run's units in these waves, which may be of several runs."""
    units = {
        unit.path: wave.stage.per_sample * unit.samples
        for wave in waves
        for unit in wave.units
        if unit.home == run.home
    }
    done = {path: footers[path] for path in units if path in footers}
    failed = {path: footer.failed for path, footer in done.items() if footer.failed}
    again = {unit.path: unit.mend for unit in mended if unit.mend and unit.path in done}
    better = sum(max(0, mend.failed - done[path].failed) for path, mend in again.items())
    return StageCount(
        name=folder,
        total=sum(units.values()),
        good=sum(footer.rows - footer.failed for footer in done.values()),
        failed=sum(failed.values()),
        pending=sum(rows for path, rows in units.items() if path not in done),
        reasons=_count_reasons(run.storage, list(failed)),
        mended=better,
        failed_again=sum(mend.rows for mend in again.values()) - better,
    )


def _count_reasons(storage: Storage, names: list[str]) -> dict[str, int]:
    def count(name: str) -> list[dict[str, Any]]:
        reasons = storage.read_table(name, columns=["reason"])["reason"].drop_null()
        counted: list[dict[str, Any]] = pc.value_counts(reasons).to_pylist()
        return counted

    counts: Counter[str] = Counter()
    for rows in side_by_side(count, names):
        counts.update({row["values"]: row["counts"] for row in rows})
    return dict(counts.most_common())
