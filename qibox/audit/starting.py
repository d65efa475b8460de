"""Start a judge to ask it more than a run did, and the samples that it is asked about."""

from collections.abc import Iterator, Sequence
from typing import Final

import duckdb
import pyarrow as pa

from qibox.engines.base import Engine
from qibox.errors import UsageError
from qibox.judges.base import Judge
from qibox.manifests.judge import JudgeManifest
from qibox.tables import POOL

PER_BATCH: Final = 256  # samples whose pictures are held at once


def start(judge: JudgeManifest, *, allow_remote_code: bool = False) -> tuple[Judge, Engine | None]:
    """The judge, and its engine where it has one; closing the judge closes that.

    Raises:
        UsageError: people, who cannot be asked, or a model or recordings that cannot be read.
    """
    from qibox.judges.load import engine_judge, load_judge

    if judge.kind == "people":
        raise UsageError(f"judge {judge.name} is people, whom nothing here can ask again")
    if judge.model is None:
        return load_judge(judge), None
    from qibox.engines.load import load_engine

    engine = load_engine(judge.name, judge.model, allow_remote_code=allow_remote_code)
    return engine_judge(judge, engine), engine


def another(judge: JudgeManifest) -> JudgeManifest:
    """The same judge under another name and seed: what it quotes bears another code."""
    seed = judge.sampling.seed + 1
    sampling = judge.sampling.model_copy(update={"seed": seed})
    return judge.model_copy(update={"name": f"{judge.name}-again", "sampling": sampling})


def pool_rows(
    connection: duckdb.DuckDBPyConnection, sample_ids: Sequence[str]
) -> Iterator[pa.Table]:
    """The pool's rows of these samples, some at a time; one that is not there is left out."""
    for at in range(0, len(sample_ids), PER_BATCH):
        some = pa.table({"sample_id": pa.array(sample_ids[at : at + PER_BATCH], pa.string())})
        connection.register("asked_ids", some)
        query = "select * from pool where sample_id in (select sample_id from asked_ids)"
        yield connection.sql(query).to_arrow_table().cast(POOL)
