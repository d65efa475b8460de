"""What figures show, asked of a run's views in SQL: binned and counted there, small frames here.

Every function takes a connection of :func:`qibox.catalog.connect.connect`.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import duckdb

from qibox.box import INSTABILITY_RANGE, QUALITY_RANGE, Box
from qibox.errors import UsageError, command
from qibox.run.finished import LINEAGE, POLICY_FILE, policy_names, selection_files
from qibox.run.kept_files import check_files, read_json_lines
from qibox.run.layout import policy_path, selection_path
from qibox.run.storage import Storage

if TYPE_CHECKING:
    import pandas as pd

BINS: Final = 45  # along either axis: 0.2 points of Q, 0.1 of U
Q_STEP: Final = (QUALITY_RANGE[1] - QUALITY_RANGE[0]) / BINS
U_STEP: Final = (INSTABILITY_RANGE[1] - INSTABILITY_RANGE[0]) / BINS
DIMENSIONS: Final = ("risk", "category", "source", "severity")
MEASURES: Final = ("quality", "instability", "disagreement", "self_instability")
UNKNOWN: Final = "unknown"

LabelledBox = tuple[str, Box]  # which stratum it is of, and its edges


def _frame(connection: duckdb.DuckDBPyConnection, query: str, *values: str) -> "pd.DataFrame":
    frame: pd.DataFrame = connection.execute(query, list(values)).df()
    return frame


def bin_of(score: str) -> str:
    """SQL for the number of the bin that a score lies in; the last bin has its upper edge."""
    low, step = (QUALITY_RANGE[0], Q_STEP) if score == "quality" else (0.0, U_STEP)
    return f"least(floor(({score} - {low!r}) / {step!r} + 1e-9), {BINS - 1})::int"


def density(connection: duckdb.DuckDBPyConnection, table: str = "scores") -> "pd.DataFrame":
    """How many samples lie in each bin of quality by instability: columns q, u (bins), samples."""
    return _frame(
        connection,
        f"select {bin_of('quality')} as q, {bin_of('instability')} as u, count(*) as samples "
        f"from {table} where quality is not null and instability is not null "
        "group by all order by all",
    )


def coloured(
    connection: duckdb.DuckDBPyConnection, value: str, table: str = "scores"
) -> "pd.DataFrame":
    """What the samples in each bin of quality by instability are: columns q, u, samples, value.

    ``value`` is a column of ours in SQL: of numbers each bin has the mean, of texts the one that
    most of its samples have (of two, the first by name). Samples without one are not counted.
    """
    binned = (
        f"select {bin_of('quality')} as q, {bin_of('instability')} as u, {value} as value "
        f"from {table} where quality is not null and instability is not null and value is not null"
    )
    kind = connection.sql(f"select {value} from {table}").types[0]
    if kind == "VARCHAR":
        query = (
            f"with binned as ({binned}), counted as (select q, u, value, count(*) as n from binned "
            "group by all) select q, u, sum(n)::bigint as samples, arg_min(value, (-n, value)) as "
            "value from counted group by q, u order by q, u"
        )
    else:
        query = (
            f"with binned as ({binned}) select q, u, count(*) as samples, "
            "round(avg(value), 9) as value from binned group by q, u order by q, u"
        )
    return _frame(connection, query)


def score_counts(
    connection: duckdb.DuckDBPyConnection, inside: str, table: str = "scores"
) -> "pd.DataFrame":
    """Histograms of Q, U, D and V: columns measure, bin, pool, inside (a condition in SQL)."""
    parts = (
        f"select '{name}' as measure, {bin_of(name)} as bin, count(*) as pool, "
        f"count(*) filter ({inside}) as inside from {table} where {name} is not null group by all"
        for name in MEASURES
    )
    return _frame(connection, " union all ".join(parts) + " order by all")


def inside_of(boxes: Sequence[LabelledBox]) -> str:
    """SQL for lying in the box that a choice over the whole pool has; of several boxes, in any."""
    edges = (
        f"(quality between {b.q_low!r} and {b.q_high!r} and instability >= {b.u_min!r})"
        for _, b in boxes
    )
    return " or ".join(edges) or "false"


def mix(connection: duckdb.DuckDBPyConnection, selection: str | None) -> "pd.DataFrame":
    """Samples by stratum of the pool and of a selection: columns dimension, value, before, after.

    ``after`` is 0 throughout where no selection is named.
    """
    parts = (
        f"select '{name}' as dimension, coalesce({name}::varchar, '{UNKNOWN}') as value, "
        "count(*) as before, count(chosen.sample_id) as after, "
        f"{place} as place from pool left join chosen using (sample_id) group by all"
        for place, name in enumerate(DIMENSIONS)
    )
    query = (
        "with chosen as (select distinct sample_id from selections where selection = ?) "
        f"select * exclude (place) from ({' union all '.join(parts)}) order by place, before desc, "
        "value"
    )
    return _frame(connection, query, selection or "")


def chosen_boxes(storage: Storage, name: str) -> list[LabelledBox]:
    """The edges that a selection was chosen by, stratum by stratum; none of a random one.

    Raises:
        UsageError: the run has no selection of that name.
    """
    selection_files(storage, name)  # refuses a name that none has
    lineage = storage.read_mapping(selection_path(name, LINEAGE))
    return [
        (str(e["stratum"]), Box(float(e["q_low"]), float(e["q_high"]), float(e["u_min"])))
        for e in lineage.get("edges", [])
    ]


def training(storage: Storage, policy: str) -> "pd.DataFrame":
    """What each step of a training measured: the lines of its metrics.jsonl, by step.

    A training that goes on is read as far as it has come. Where its monitors saw a known failure,
    the column ``alarm`` names it at its step.

    Raises:
        UsageError: the run has no policy of that name, or it keeps no measurements.
    """
    import pandas as pd

    for name in (
        policy_path(policy, "metrics.jsonl"),
        policy_path(policy, "training/metrics.jsonl"),
    ):
        if storage.exists(name):
            if policy in policy_names(storage):
                listed = storage.read_mapping(policy_path(policy, POLICY_FILE)).get("files", ())
                check_files(storage, policy_path(policy), listed, "metrics.jsonl")
            frame = pd.DataFrame(map(_finite, read_json_lines(storage, name)))
            return _with_alarms(storage, name.replace("metrics.jsonl", "alarms.parquet"), frame)
    there = ", ".join(policy_names(storage)) or "none yet"
    raise UsageError(
        f"no measurements of a policy named '{policy}' in run {storage.url} (there: {there}): "
        f"{command('train', storage.url, name=policy)} makes them"
    )


def _with_alarms(storage: Storage, name: str, frame: "pd.DataFrame") -> "pd.DataFrame":
    """The steps, with the alarms that were raised at them; one at a step that was rolled back too.

    A step has one name: of several alarms the first.
    """
    if not storage.exists(name):
        return frame
    raised = storage.read_table(name, ["step", "monitor"]).to_pandas()
    raised = raised.rename(columns={"monitor": "alarm"}).drop_duplicates("step")
    return frame.merge(raised, on="step", how="outer")


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {n: v for n, v in row.items() if not isinstance(v, float) or math.isfinite(v)}


def rates(connection: duckdb.DuckDBPyConnection, policies: Sequence[str] = ()) -> "pd.DataFrame":
    """Rates of policies and of what they started from (of all, where none is named): RATES."""
    frame = _frame(connection, "select * from rates order by all")
    if not policies:
        return frame
    starts = frame.loc[frame["policy"].isin(list(policies)), "start"].dropna()
    return frame[frame["policy"].isin([*policies, *starts])]


def models(connection: duckdb.DuckDBPyConnection, judge: str) -> "pd.DataFrame":
    """What each panel model gave in each category: columns model, category, unsafe, judged.

    ``unsafe`` is the share of judged responses that a judge calls unsafe, in [0, 1].
    """
    return _frame(
        connection,
        f"select model, coalesce(category, '{UNKNOWN}') as category, "
        "avg((not safe)::int) as unsafe, count(safe) as judged "
        "from judgments join (select sample_id, category from pool) using (sample_id) "
        "where judge = ? group by all order by all",
        judge,
    )


def conduct(connection: duckdb.DuckDBPyConnection, judge: str) -> "pd.DataFrame":
    """How each panel model answered: columns model, responses, reasoned, cut_off, failed (shares),
    score (mean, points), unsafe (share), distance.

    ``distance`` is the mean over samples of how far the model's mean score is from the panel's.
    """
    return _frame(
        connection,
        """
        with answered as (
            select model, count(*) as responses, avg((reasoning is not null)::int) as reasoned,
                   avg((finish_reason is not distinct from 'length')::int) as cut_off,
                   avg((text is null)::int) as failed
            from responses group by model
        ), means as (
            select model, sample_id, avg(score) as mean, avg((not safe)::int) as unsafe
            from judgments where judge = ? and score is not null group by all
        ), apart as (
            select model, mean, unsafe, abs(mean - avg(mean) over (partition by sample_id)) as away
            from means
        ), judged as (
            select model, avg(mean) as score, avg(unsafe) as unsafe, avg(away) as distance
            from apart group by model
        )
        select * from answered left join judged using (model) order by model
        """,
        judge,
    )
