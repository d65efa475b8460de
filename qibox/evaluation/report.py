"""What evaluations came to: rates of all that answered a benchmark, kept beside the answers.

Reads the view ``evaluations``; writes RUN/evaluations/<benchmark>/rates.parquet
(:data:`qibox.tables.RATES`), which the view ``rates`` shows.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from qibox.catalog.connect import reading
from qibox.evaluation.rates import rates
from qibox.run.directory import Run
from qibox.run.layout import evaluation_home
from qibox.tables import EVALUATIONS, RATES

if TYPE_CHECKING:
    import pandas as pd

# Words are not counted, and a benchmark's are many.
_WORDS = ("text", "reasoning", "answer", "rationale", "raw")


def keep_rates(run: Run, benchmark: str, starts: Mapping[str, str]) -> "pd.DataFrame":
    """Count all that stands of a benchmark, write it beside, and give back the frame.

    ``starts`` names for a policy the one it started from; of policies that were evaluated earlier
    it is known from the rates written then.
    """
    storage, name = run.storage, f"{evaluation_home(benchmark)}rates.parquet"
    known: dict[str, str] = {}
    if storage.exists(name):
        before = storage.read_table(name, columns=["policy", "start"]).to_pylist()
        known = {row["policy"]: row["start"] for row in before if row["start"] is not None}
    frame = rates(judged_rows(run, benchmark), {**known, **starts})
    storage.write_table(name, pa.Table.from_pandas(frame, schema=RATES, preserve_index=False))
    return frame


def judged_rows(run: Run, benchmark: str) -> pa.Table:
    """A benchmark's rows of :data:`qibox.tables.EVALUATIONS`, without their words."""
    with reading(run, ("evaluations",)) as connection:
        found = connection.view("evaluations")
        here = duckdb.ColumnExpression("pool") == duckdb.ConstantExpression(benchmark)
        judged = found.filter(here).filter("judge is not null")
        kept = [n if n not in _WORDS else f"null::varchar as {n}" for n in EVALUATIONS.names]
        return judged.select(", ".join(kept)).to_arrow_table().cast(EVALUATIONS)


def of_those(
    frame: "pd.DataFrame", policies: Collection[str], judges: Collection[str]
) -> "pd.DataFrame":
    """The rates of some policies by some judges."""
    return frame[frame["policy"].isin(list(policies)) & frame["judge"].isin(list(judges))]
