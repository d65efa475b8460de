"""Which samples are let through: the box on the written scores, in SQL.

Reads a run's pool and scores; writes nothing. A null score is in no box. Under a limit the most
unstable go first (ties by sample_id), or whichever come first by md5("<seed>:<sample_id>"), which
any tool can recompute. Taken within strata, a limit is shared out in proportion: who is in the
first tenth of its own stratum goes before who is in the second tenth of another. In a frame each
stratum gives its own number (:mod:`qibox.selection.quotas`), in the same order.
"""

from dataclasses import dataclass

import duckdb
import pyarrow as pa

from qibox.catalog.connect import reading
from qibox.errors import QiboxError, UsageError, command
from qibox.run.directory import Run
from qibox.scoring.mending import stale_units
from qibox.selection.edges import StratumBox, stratum_boxes
from qibox.selection.mix import MixRow, count_mix
from qibox.selection.quotas import QuotaRow, allot, check_values
from qibox.selection.request import Request

# Every sample of the pool, with what it is grouped by and its scores.
_SAMPLES = """
create temp table samples as
select sample_id, coalesce(risk, 'unknown') as risk, coalesce(category, 'unknown') as category,
       coalesce(severity::varchar, 'unknown') as severity, coalesce(source, 'unknown') as source,
       quality, instability
from pool left join scores using (sample_id)
"""

_CANDIDATES = """
create temp table candidates as
select sample_id, quality, instability, risk, category, severity, source, {stratum} as stratum
from samples where quality is not null and instability is not null
"""

_PASSED = """
create temp table passed as
select candidates.* from candidates join boxes using (stratum)
where quality between q_low and q_high and instability >= u_min
"""

_CHOSEN = """
create temp table chosen as
with ranked as (
    select *, row_number() over (partition by stratum order by {rank}) as place,
           count(*) over (partition by stratum) as size
    from passed
)
select sample_id, stratum, quality, instability from ranked
order by (place - 0.5) / size, {rank} limit {limit}
"""


_CHOSEN_IN_FRAME = """
create temp table chosen as
with ranked as (
    select *, row_number() over (partition by {columns} order by {rank}) as place from passed
)
select sample_id, stratum, quality, instability
from ranked join quotas using ({columns}) where place <= take
"""


@dataclass(frozen=True)
class Choice:
    """Who was let through, by which values, out of how many."""

    request: Request
    boxes: tuple[StratumBox, ...]  # empty for a random choice
    samples: int  # in the pool
    scored: int  # that have scores, so could be chosen
    passed: int  # in the box, before the limit
    chosen: pa.Array  # sample_id, sorted
    by_stratum: dict[str, tuple[int, int]]  # passed and chosen, where a box was asked for
    sources: dict[str, int]  # chosen samples of each source
    mix: tuple[MixRow, ...]
    quotas: tuple[QuotaRow, ...] = ()  # of each stratum, where a frame was asked for


def choose(run: Run, request: Request) -> Choice:
    """Choose from a scored run.

    Raises:
        UsageError: the run is not scored to its end, fewer samples are scored than are to be
            drawn at random, or a quota names a value that the pool does not have.
        QiboxError: no sample is let through.
    """
    _require_scores(run)
    with reading(run, ("pool", "scores")) as connection:
        return _choose(connection, run, request)


def _choose(connection: duckdb.DuckDBPyConnection, run: Run, request: Request) -> Choice:
    connection.execute(_SAMPLES)
    stratum = "'pool'" if request.within == "pool" else request.within
    connection.execute(_CANDIDATES.format(stratum=stratum))
    samples, scored = _count(connection, "samples"), _count(connection, "candidates")
    if not scored:
        raise QiboxError(
            f"none of the {samples} samples of {run.storage.url} has scores: ask "
            f'`qibox sql {run.storage.url} "select reason, count(*) from scores group by all"`'
        )
    if request.frame is not None:
        check_values(connection, request.frame)
    boxes = _apply(connection, request)
    passed = _count(connection, "passed")
    if not passed:
        raise _empty(connection, run, boxes)
    if request.random and request.random > scored:
        raise UsageError(
            f"{request.random} samples at random are more than there are: "
            f"{scored} samples of {run.storage.url} have scores",
            fields=["random"],
        )
    quotas = _take(connection, request, passed)
    chosen = connection.sql("select sample_id from chosen order by sample_id").to_arrow_table()
    return Choice(
        request=request,
        boxes=tuple(boxes),
        samples=samples,
        scored=scored,
        passed=passed,
        chosen=chosen["sample_id"].combine_chunks().cast(pa.string()),
        by_stratum=_by_stratum(connection) if boxes else {},
        sources=_sources(connection),
        mix=tuple(count_mix(connection)),
        quotas=tuple(quotas),
    )


def _require_scores(run: Run) -> None:
    index = run.pool_index()
    units = run.scores_units(index.shards()) if index else []
    done = sum(run.storage.table_key(unit.path) == unit.key for unit in units)
    if not units or done < len(units):
        state = f"scored on {done} of its {len(units)} shards" if units else "not scored yet"
        raise UsageError(f"run {run.storage.url} is {state}: `qibox score` into it does the rest")
    assert index is not None
    judgments = run.judgments_units(run.manifest.judges[0], index.shards())
    if stale := {unit.shard for unit in stale_units(run.storage, [*judgments, *units])}:
        raise UsageError(
            f"scores of {len(stale)} shards of {run.storage.url} are of before failed answers were "
            f"asked again: {command('score', out=run.storage.url)} with the options of this run "
            "counts them anew"
        )


def _apply(connection: duckdb.DuckDBPyConnection, request: Request) -> list[StratumBox]:
    """Fill the table passed with the candidates that the box lets through."""
    if request.box is None:
        connection.execute("create temp table passed as from candidates")
        return []
    boxes = stratum_boxes(connection, request.box)
    connection.execute(
        "create temp table boxes (stratum varchar, q_low double, q_high double, u_min double)"
    )
    rows = [(b.stratum, b.box.q_low, b.box.q_high, b.box.u_min) for b in boxes]
    connection.executemany("insert into boxes values (?, ?, ?, ?)", rows)
    connection.execute(_PASSED)
    return boxes


def _take(connection: duckdb.DuckDBPyConnection, request: Request, passed: int) -> list[QuotaRow]:
    """Fill the table chosen with as many of the table passed as are asked for."""
    limit = request.random or request.size or (request.box.limit if request.box else None) or passed
    if request.frame is None:
        connection.execute(_CHOSEN.format(rank=_rank(request), limit=limit))
        return []
    quotas = allot(connection, request.frame, limit)
    if not any(row.chosen for row in quotas):
        raise QiboxError(
            f"none of the {passed} samples that could be chosen from lies in a stratum with a "
            "quota: give quotas to the strata that have some",
            fields=["quota"],
        )
    names = request.frame.stratify
    typed = ", ".join(f"{name} varchar" for name in names)
    connection.execute(f"create temp table quotas ({typed}, take bigint)")
    marks = ", ".join("?" for _ in names)
    connection.executemany(
        f"insert into quotas values ({marks}, ?)", [(*row.values, row.chosen) for row in quotas]
    )
    connection.execute(_CHOSEN_IN_FRAME.format(columns=", ".join(names), rank=_rank(request)))
    return quotas


def _rank(request: Request) -> str:
    if request.random or (request.box is not None and request.box.rank == "random"):
        return f"md5('{request.seed:d}:' || sample_id), sample_id"
    return "instability desc, sample_id"


def _empty(connection: duckdb.DuckDBPyConnection, run: Run, boxes: list[StratumBox]) -> QiboxError:
    """Say why nothing was let through, with the ranges that would help."""
    ranges = connection.execute(
        "select min(quality), max(quality), min(instability), max(instability) from candidates"
    ).fetchone()
    inside = connection.execute(
        "select count(*), max(instability) from candidates join boxes using (stratum) "
        "where quality between q_low and q_high"
    ).fetchone()
    assert ranges is not None
    assert inside is not None
    wanted = "; ".join(
        f"{b.box.q_low:g} ≤ Q ≤ {b.box.q_high:g} and U ≥ {b.box.u_min:g}"
        + (f" ({b.stratum})" if len(boxes) > 1 else "")
        for b in boxes
    )
    band = (
        f"the {inside[0]} within the band have U up to {inside[1]:g}: lower the minimum of U"
        if inside[0]
        else "none lies within the band: move it"
    )
    return QiboxError(
        f"no sample of {run.storage.url} lies in the box {wanted}: its scored samples have Q from "
        f"{ranges[0]:g} to {ranges[1]:g} and U from {ranges[2]:g} to {ranges[3]:g}, and {band}",
        fields=["u_min"] if inside[0] else ["q_low", "q_high"],
    )


def _by_stratum(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, int]]:
    rows = connection.execute(
        "select stratum, count(passed.sample_id), count(chosen.sample_id) from boxes "
        "left join passed using (stratum) left join chosen using (sample_id) group by stratum"
    ).fetchall()
    return {stratum: (passed, chosen) for stratum, passed, chosen in rows}


def _sources(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    rows = connection.execute(
        "select source, count(*) from samples join chosen using (sample_id) group by all order by 1"
    ).fetchall()
    return dict(rows)


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()
    assert row is not None
    return int(row[0])
