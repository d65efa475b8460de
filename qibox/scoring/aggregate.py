"""judgments → scores: quality and instability of each sample of a shard, by the run's first judge.

Reads RUN/judgments/judge=<id>/model=*/shard-N.parquet, writes RUN/scores/shard-N.parquet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa

from qibox.run.directory import Run
from qibox.run.layout import judgments_path
from qibox.run.storage import Storage
from qibox.run.units import Shard, Unit
from qibox.scores import score_samples
from qibox.scoring.slices import Source, one_chunk, slices
from qibox.scoring.stage import Stage, TellRows
from qibox.tables import SCORES


class NoTool:
    """Scores need neither engine nor judge."""

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class ScoreSamples(Stage[NoTool]):
    """A panel's judgments become scores."""

    folder = "scores"
    asks = False
    name = "scores"
    per_sample = 1

    judge: str
    models: tuple[str, ...]
    samples: int  # K, judgments a model and sample
    min_models: int
    min_responses: int

    @classmethod
    def of(cls, run: Run) -> Iterator[Self]:
        """One, where a panel answers."""
        panel = run.manifest.panel
        if run.manifest.scored:
            yield cls(
                run.manifest.judges[0].name,
                tuple(panel.models),
                panel.sampling.samples,
                panel.min_models,
                panel.min_responses,
            )

    def units(self, run: Run, shards: Sequence[Shard]) -> list[Unit]:
        """One a shard."""
        return run.scores_units(shards)

    def load(self, *, allow_remote_code: bool = False) -> NoTool:
        """Nothing needs starting."""
        return NoTool()

    def do(self, tool: NoTool, storage: Storage, units: Sequence[Unit], tell: TellRows) -> None:
        """Write the shard's scores, a slice of samples at a time."""
        for unit in units:
            self._score(storage, unit, tell)

    def rows_to_mend(self, storage: Storage, unit: Unit, reason: str | None) -> int:
        """All: scores are counted again, from judgments that were mended."""
        return unit.samples

    def mend(self, tool: NoTool, storage: Storage, units: Sequence[Unit], tell: TellRows) -> None:
        """Score the shard again; what did not change comes out the same."""
        self.do(tool, storage, units, tell)

    def _score(self, storage: Storage, unit: Unit, tell: TellRows) -> None:
        columns = ["sample_id", "model", "score", "safe", "answer_score", "logical_coherence"]
        sources = [
            Source(unit.pool, ["sample_id"]),
            *(
                Source(
                    judgments_path(self.judge, model, unit.shard, unit.home), columns, self.samples
                )
                for model in self.models
            ),
        ]
        with (
            slices(storage, sources, unit.samples) as parts,
            storage.table_writer(
                unit.path, SCORES, unit.key, made_of=parts.inputs_edition(unit)
            ) as writer,
        ):
            for samples, *judgments in parts:
                scores = score_samples(
                    one_chunk(samples["sample_id"]),
                    pa.concat_tables(judgments),
                    self.min_models,
                    self.min_responses,
                )
                writer.write_table(scores)
                tell(one_chunk(scores["reason"]))
