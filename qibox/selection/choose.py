"""Which samples are let through: the box on the written scores, in SQL.

Reads a run's pool and scores, and of a profile or the judgments what a request asks of them; writes
nothing. A null score is in no box. Under a limit the first by rank go first
(:mod:`qibox.selection.ranking`; ties by sample_id). Taken within strata, a limit is shared out in
proportion: who is in the first tenth of its own stratum goes before who is in the second tenth of
another. In a frame each stratum gives its own number (:mod:`qibox.selection.quotas`), in the same
order. Twins (:mod:`qibox.selection.twins`) come after all others, as many as are left to give.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import duckdb
import pyarrow as pa

from qibox.augment.paraphrases import read_paraphrases
from qibox.catalog.connect import reading
from qibox.coverage.vectors import Vectors
from qibox.errors import QiboxError, UsageError, command
from qibox.likeness.kept import Told, pool_likeness
from qibox.run.directory import Run
from qibox.selection.confident import keep_confident
from qibox.selection.edges import StratumBox
from qibox.selection.mix import MixRow, count_mix
from qibox.selection.nearest import Nearest, nearest
from qibox.selection.quotas import QuotaRow, check_values
from qibox.selection.ranking import rank_of
from qibox.selection.request import Request
from qibox.selection.samples import fill_samples, ids, none_scored, views_of
from qibox.selection.scored import require_scores
from qibox.selection.screening import Screening
from qibox.selection.spreading import vectors_for
from qibox.selection.taking import apply_box, count, take
from qibox.selection.twins import Twins, add_twins, fill_shared
from qibox.selection.variants import Augment


@dataclass(frozen=True)
class Choice:
    """Who was let through, by which values, out of how many."""

    request: Request
    boxes: tuple[StratumBox, ...]  # empty for a random choice
    samples: int  # in the pool
    scored: int  # of those that meet the condition, have scores, so could be chosen
    passed: int  # in the box and not left out, before the limit
    chosen: pa.Array  # sample_id, sorted
    by_stratum: dict[str, tuple[int, int]]  # passed and chosen, where a box was asked for
    sources: dict[str, int]  # chosen samples of each source
    mix: tuple[MixRow, ...]
    quotas: tuple[QuotaRow, ...] = ()  # of each stratum, where a frame was asked for
    met: int | None = None  # samples of the pool that meet the condition, where there is one
    unranked: int = 0  # in the box, but without what they would be ranked by
    unsure: int | None = None  # in the box, but not as surely as was asked
    policy: str | None = None  # whose profile was asked
    covered: dict[str, Any] | None = None  # which vectors, where coverage ranked
    embedded: tuple[int, float] | None = None  # vectors that were made for it, in so many seconds
    twins: Twins | None = None
    augment: Augment | None = None  # variants that are written beside the samples
    nearest: Nearest | None = None  # the box that gives what this one does not
    screening: Screening | None = None  # null: it was compared with nothing

    @property
    def short(self) -> int:
        """How many samples fewer than were asked for."""
        return max(0, (self.request.wanted or 0) - len(self.chosen))


def choose(
    run: Run,
    request: Request,
    left_out: Iterable[str] = (),
    *,
    keep: bool = True,
    told: Told | None = None,
) -> Choice:
    """Choose from a scored run.

    Samples ``left_out`` are in no selection, but edges and quotas count them. Twins are told by
    pictures' digests: ``keep`` and ``told`` as in :func:`qibox.likeness.kept.pool_likeness`.

    Raises:
        UsageError: the run is not scored to its end, fewer samples are scored than are to be
            drawn at random, a quota names a value that the pool does not have, an expression
            cannot be asked, or a file that was named cannot be read.
        QiboxError: no sample is let through.
    """
    require_scores(run)
    vectors = vectors_for(run, request, keep=keep, told=told)
    with reading(run, views_of(run, request)) as connection:
        embedded = vectors.sample_ids if vectors is not None else None
        policy = fill_samples(connection, run, request, embedded, keep=keep)
        connection.register("left_ids", ids(left_out))
        connection.execute("create temp table left_out as from left_ids")
        if request.twins is not None:
            fill_shared(connection, pool_likeness(run, keep=keep, told=told))
        choice = _choose(connection, run, request, vectors)
    return replace(choice, policy=policy, augment=_augment(request, choice.chosen))


def _augment(request: Request, chosen: pa.Array) -> Augment | None:
    if not request.augment and request.paraphrases is None and request.rephrase is None:
        return None
    file = request.paraphrases
    other = read_paraphrases(file).of(chosen) if file is not None else None
    return Augment(request.augment or 0, other, request.seed)


def _choose(
    connection: duckdb.DuckDBPyConnection, run: Run, request: Request, vectors: Vectors | None
) -> Choice:
    scored = count(connection, "candidates")
    if not scored:
        raise none_scored(connection, run, request)
    if request.random and request.random > scored:
        raise UsageError(
            f"{request.random} samples at random are more than there are: "
            f"{scored} samples of {run.storage.url} have scores",
            fields=["random"],
        )
    if request.frame is not None:
        check_values(connection, request.frame)
    boxes, unranked = apply_box(connection, request)
    if not count(connection, "passed"):
        raise _unranked(request, unranked) if unranked else _empty(connection, run, boxes)
    unsure = None
    if request.min_confidence is not None:
        unsure = keep_confident(connection, run, request.min_confidence, request.seed)
    passed = count(connection, "passed")
    if not passed:
        raise QiboxError(
            f"none of the {unsure} samples in the box lies in it in {request.min_confidence:g} of "
            f"the resamples: ask for less ({command('intervals', run.storage.url)} tells how many "
            "lie how surely in it)",
            fields=["min_confidence"],
        )
    quotas, twins = _fill(connection, request, passed, vectors)
    chosen = connection.sql("select sample_id from chosen order by sample_id").to_arrow_table()
    index = run.pool_index()
    assert index is not None, "a scored run has an index"
    return Choice(
        request=request,
        boxes=tuple(boxes),
        samples=index.samples,
        scored=scored,
        passed=passed,
        chosen=chosen["sample_id"].combine_chunks().cast(pa.string()),
        by_stratum=_by_stratum(connection) if boxes else {},
        sources=_sources(connection),
        mix=tuple(count_mix(connection)),
        quotas=tuple(quotas),
        met=count(connection, "samples") if request.where is not None else None,
        unranked=unranked,
        unsure=unsure,
        covered=vectors.about if vectors is not None else None,
        embedded=(len(vectors), vectors.seconds) if vectors is not None else None,
        twins=twins,
        nearest=_nearest(connection, request, boxes, quotas),
    )


def _fill(
    connection: duckdb.DuckDBPyConnection, request: Request, passed: int, vectors: Vectors | None
) -> tuple[list[QuotaRow], Twins | None]:
    """Fill the table chosen: by the rank, and with twins of those."""
    size = request.wanted or passed
    if request.twins is None:
        return take(connection, request, size, vectors), None
    share = Fraction(repr(request.twins)) / 100
    if request.wanted is None:  # beside all that the box holds
        wanted = _nearest_whole(size * share / (1 - share))
        size += wanted
    else:
        wanted = _nearest_whole(size * share)
    if not size - wanted:
        raise UsageError(
            f"of {size} samples {request.twins:g}% twins leave none to be twins of: choose more",
            fields=["twins"],
        )
    quotas = take(connection, request, size - wanted, vectors)
    twins = add_twins(connection, wanted, request.seed)
    if twins.chosen < wanted:  # the others make up for it, as far as they go
        quotas = take(connection, request, size - twins.chosen, vectors)
        room = max(size - count(connection, "chosen"), 0)
        twins = Twins(wanted, *_numbers(add_twins(connection, min(wanted, room), request.seed)))
    return quotas, twins


def _numbers(twins: Twins) -> tuple[int, int]:
    return twins.available, twins.chosen


def _nearest_whole(number: Fraction) -> int:
    return int(number + Fraction(1, 2))


def _nearest(
    connection: duckdb.DuckDBPyConnection,
    request: Request,
    boxes: list[StratumBox],
    quotas: list[QuotaRow],
) -> Nearest | None:
    """The box that gives what was asked for; None where this one does, or there is none."""
    (row,) = connection.execute("select count(*) from chosen where stratum is null").fetchall()
    wanted = (request.wanted or 0) - int(row[0])
    if not boxes or request.wanted is None:
        return None
    if count(connection, "passed") >= wanted and not any(row.missing for row in quotas):
        return None
    columns = request.frame.stratify if request.frame else ()
    return nearest(connection, boxes, quotas, columns, wanted)


def _unranked(request: Request, unranked: int) -> QiboxError:
    if request.weights is not None:
        above = " above 0" if rank_of(request) == "random" else ""
        return QiboxError(
            f"none of the {unranked} samples that could be chosen has a weight by "
            f"'{request.weights}'{above}: give another",
            fields=["weights"],
        )
    how = {
        "trainee": "profile the policy on them",
        "coverage": "give vectors of them",
        "safety-spread": "score with two samples per model or more",
    }
    return QiboxError(
        f"none of the {unranked} samples in the box can be ranked by {rank_of(request)}: "
        f"{how[rank_of(request)]}",
        fields=["rank"],
    )


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
        "select stratum, count(passed.sample_id), count(mine.sample_id) from boxes "
        "left join passed using (stratum) "
        "left join (from chosen where stratum is not null) mine using (sample_id) group by stratum"
    ).fetchall()
    return {stratum: (passed, chosen) for stratum, passed, chosen in rows}


def _sources(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    rows = connection.execute(
        "select source, count(*) from samples join chosen using (sample_id) group by all order by 1"
    ).fetchall()
    return dict(rows)
