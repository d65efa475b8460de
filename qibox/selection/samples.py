"""Who can be chosen: a run's samples with their strata, scores and what a request asks of each.

Fills two temporary tables of a connection that reads the run:

- ``samples``: the pool, or those of it that meet the request's condition; strata as text,
  ``unknown`` where the source does not tell;
- ``candidates``: those of them with scores, their stratum, and ``worth``, by which they are ranked.
"""

from collections.abc import Iterable

import duckdb
import pyarrow as pa

from qibox.errors import QiboxError, UsageError
from qibox.run.directory import Run
from qibox.run.layout import scores_path
from qibox.selection.expression import check_expression, views_named
from qibox.selection.ranking import worth_of
from qibox.selection.request import Request
from qibox.trainee.learning import LEARNING, learning, profiled
from qibox.trouble import query_trouble

POOL_FACTS = ("sample_id", "source", "question", "category", "severity", "risk", "meta", "license")
SCORE_FACTS = (
    "quality",
    "instability",
    "disagreement",
    "self_instability",
    "safe_rate",
    "n_models",
    "n_judged",
)
TRAINEE_FACTS = tuple(name for name in LEARNING.names if name != "sample_id")

# As the run's scores have it, or where their file is of before there was such a column, from the
# judgments; see qibox.scores.
_SPREADS = """
create temp table spreads as
with told as (
    select sample_id, model, count(score) as judged, count(safe) as n, avg(safe::int) as q
    from judgments where judge = $judge and score is not null group by sample_id, model
)
select sample_id, round(avg(n / (n - 1) * q * (1 - q)), 6) as computed
from told where n > 1 and judged >= $least group by sample_id
"""

_SAMPLES = """
create temp table samples as
select sample_id, coalesce(risk, 'unknown') as risk, coalesce(category, 'unknown') as category,
       coalesce(severity::varchar, 'unknown') as severity, coalesce(source, 'unknown') as source,
       case risky when true then 'yes' when false then 'no' else 'unknown' end as risky,
       quality, instability, {worth} as worth
from ({asked}) where kept
"""

_NUMBERS = {
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
}

_CANDIDATES = """
create temp table candidates as
select samples.*, {stratum} as stratum
from samples where quality is not null and instability is not null
"""


def views_of(run: Run, request: Request) -> set[str]:
    """The views of the run that a request is answered from."""
    typed = " ".join(text for text in (request.where, request.weights) if text)
    views = {"pool", "scores", *views_named(typed)}
    if _counts_spreads(run, request):
        views.add("judgments")
    return views


def fill_samples(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    request: Request,
    embedded: pa.Array | None = None,
    *,
    keep: bool = True,
) -> str | None:
    """Fill the tables samples and candidates; return the policy whose profile was asked, if any.

    ``embedded`` are the samples that can be ranked by coverage; None: all. ``keep`` as in
    :func:`qibox.trainee.answered.answered`.

    Raises:
        UsageError: the condition or the weights are no such expression, or ask of a profile that
            is not there.
    """
    joins, columns = [], [*(f"pool.{name}" for name in POOL_FACTS), *SCORE_FACTS]
    if _counts_spreads(run, request):
        least = run.manifest.panel.min_responses
        given = {"judge": run.manifest.judges[0].name, "least": least}
        connection.execute(_SPREADS, given)
        joins.append("left join spreads using (sample_id)")
    columns.append(f"{'computed' if joins else 'scores.safety_spread'} as safety_spread")
    policy = None
    if _needs(request, TRAINEE_FACTS):
        policy = profiled(run, request.policy)
        group = run.manifest.panel.sampling.samples
        connection.register("learning", learning(run, policy, group, keep=keep))
        joins.append("left join learning using (sample_id)")
        columns += TRAINEE_FACTS
    if embedded is not None:
        connection.register("with_vectors", pa.table({"sample_id": embedded}))
    facts = (
        f"select {', '.join(columns)}, safe_rate < 1 as risky "
        f"from pool left join scores using (sample_id) {' '.join(joins)}"
    )
    connection.execute(f"create temp view facts as {facts}")
    has = "sample_id in (from with_vectors)" if embedded is not None else "true"
    asked = (
        f"select *, case when {has} then 1.0 end as embedded, "
        f"{_condition(connection, request)} as kept, {_weight(connection, request)}"
    )
    try:
        connection.execute(
            _SAMPLES.format(worth=worth_of(request), asked=f"{asked} as weight from facts")
        )
    except duckdb.Error as error:
        raise query_trouble(error) from error
    for column in _joint_columns(request):
        connection.execute(f"alter table samples add column {quoted(column)} varchar")
        value = " || '+' || ".join(column.split("+"))
        connection.execute(f"update samples set {quoted(column)} = {value}")
    connection.execute(_CANDIDATES.format(stratum=_stratum(request)))
    return policy


def quoted(column: str) -> str:
    """A column's name in SQL; that of a joint one holds a plus."""
    return f'"{column}"'


def _needs(request: Request, columns: Iterable[str]) -> bool:
    typed = f"{request.where} {request.weights} {worth_of(request)}".lower()
    return any(name in typed for name in columns)


def _counts_spreads(run: Run, request: Request) -> bool:
    """Whether safety spreads are asked for that older files of scores do not have."""
    index = run.pool_index()
    if index is None or not _needs(request, ["safety_spread"]):
        return False
    for shard in range(len(index.keys)):
        with run.storage.parquet(scores_path(shard, run.home)) as file:
            if "safety_spread" not in file.schema_arrow.names:
                return True
    return False


def _condition(connection: duckdb.DuckDBPyConnection, request: Request) -> str:
    if request.where is None:
        return "true"
    checked, kind = check_expression(connection, request.where, "facts", "where")
    if kind != "BOOLEAN":
        raise UsageError(
            f"'{request.where}' is a {kind}, not a condition: compare it with something, as in "
            "quality > 5",
            fields=["where"],
        )
    return f"coalesce({checked}, false)"


def _weight(connection: duckdb.DuckDBPyConnection, request: Request) -> str:
    """SQL of the weight of a sample; null, so that it cannot be ranked, where it is no number."""
    if request.weights is None:
        return "1.0::double"
    checked, kind = check_expression(connection, request.weights, "facts", "weights")
    if kind.partition("(")[0] not in _NUMBERS:
        raise UsageError(
            f"'{request.weights}' is a {kind}, not a number: give one, as in instability * 2",
            fields=["weights"],
        )
    return f"case when isfinite(({checked})::double) then ({checked})::double end"


def _joint_columns(request: Request) -> list[str]:
    named = [*(request.frame.stratify if request.frame else ()), *request.within.split(",")]
    return sorted({column for column in named if "+" in column})


def _stratum(request: Request) -> str:
    if request.within == "pool":
        return "'pool'"
    return " || ', ' || ".join(map(quoted, request.within.split(",")))


def none_scored(connection: duckdb.DuckDBPyConnection, run: Run, request: Request) -> QiboxError:
    """Why there are no candidates."""
    (row,) = connection.execute("select count(*) from samples").fetchall()
    if request.where is not None:
        return QiboxError(
            f"of the samples of {run.storage.url} {row[0]} meet '{request.where}', and none of "
            "them has scores: widen the condition",
            fields=["where"],
        )
    return QiboxError(
        f"none of the {row[0]} samples of {run.storage.url} has scores: ask "
        f'`qibox sql {run.storage.url} "select reason, count(*) from scores group by all"`'
    )


def ids(values: Iterable[str]) -> pa.Table:
    """A table of sample_id."""
    return pa.table({"sample_id": pa.array(sorted(values), pa.string())})
