"""judgments → scores: quality and instability of each sample of a shard, by the run's first judge.

Reads RUN/judgments/judge=<id>/model=*/shard-N.parquet, writes RUN/scores/shard-N.parquet.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from qibox.run.layout import judgments_path, pool_path
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scores import score_samples
from qibox.scoring.slices import Source, one_chunk, slices
from qibox.tables import SCORES

Report = Callable[[pa.Array], None]  # is given the reasons of the rows just written


@dataclass(frozen=True)
class Scoring:
    """What scoring a shard needs to know."""

    judge: str
    models: Sequence[str]
    samples: int  # K, judgments a model and sample
    min_models: int
    min_responses: int


def score_unit(storage: Storage, unit: Unit, scoring: Scoring, report: Report) -> None:
    """Write one shard's scores, a slice of samples at a time."""
    columns = ["sample_id", "model", "score", "safe"]
    sources = [
        Source(pool_path(unit.shard), ["sample_id"]),
        *(
            Source(judgments_path(scoring.judge, model, unit.shard), columns, scoring.samples)
            for model in scoring.models
        ),
    ]
    with (
        slices(storage, sources) as parts,
        storage.table_writer(unit.path, SCORES, unit.key) as writer,
    ):
        for samples, *judgments in parts:
            scores = score_samples(
                one_chunk(samples["sample_id"]),
                pa.concat_tables(judgments),
                scoring.min_models,
                scoring.min_responses,
            )
            writer.write_table(scores)
            report(one_chunk(scores["reason"]))
