"""A frame over a pool: how many samples each stratum is to give, has, and gives.

The size goes down the columns, outermost first: at each column it is divided by its quota, and a
stratum that lacks some leaves them to the others of the same column in proportion to theirs
(:mod:`qibox.selection.apportion`); only what a whole stratum lacks reaches its neighbours. Rules
count the samples of the pool, scored or not, so that the quotas do not depend on a box.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

import duckdb

from qibox.errors import UsageError
from qibox.selection.apportion import fill, largest_remainder
from qibox.selection.frame import Frame, Quota, Rule, exact

NAMED = 12  # values named in an error, most frequent first
SHORT_NAMED = 3  # strata named in a warning

Path = tuple[str, ...]  # a stratum: a value of each of the frame's columns


@dataclass(frozen=True)
class QuotaRow:
    """One stratum of a frame; counts of samples."""

    values: Path
    pool: int  # in the pool
    wanted: int  # by its quota
    available: int  # could be chosen: scored and in the box
    chosen: int

    @property
    def missing(self) -> int:
        """What the stratum lacks for its quota."""
        return max(0, self.wanted - self.available)


@dataclass(frozen=True)
class _Stratum:
    """A stratum with those within it; ``weights`` are theirs."""

    path: Path
    pool: int
    available: int
    parts: tuple["_Stratum", ...] = ()
    weights: tuple[Fraction, ...] = ()

    @property
    def reachable(self) -> bool:
        """Whether any quota leads to samples of the pool."""
        return not self.parts or any(self.weights)


def allot(connection: duckdb.DuckDBPyConnection, frame: Frame, size: int) -> list[QuotaRow]:
    """Divide a selection's size over the strata; sorted by their values.

    Reads the tables samples (the pool) and passed (who could be chosen), both with the frame's
    columns. The rows' ``wanted`` come to ``size``, and so do ``chosen`` unless all strata with a
    quota are empty before.

    Raises:
        UsageError: no stratum has a quota.
    """
    columns = ", ".join(f'"{column}"' for column in frame.stratify)
    counted = connection.execute(
        f"""
        with has as (select {columns}, count(*) as available from passed group by all)
        select {columns}, count(*), coalesce(any_value(available), 0)
        from samples left join has using ({columns}) group by {columns}
        """
    ).fetchall()
    cells = {tuple(row[:-2]): (int(row[-2]), int(row[-1])) for row in counted}
    return apportion(cells, frame, size)


def apportion(cells: Mapping[Path, tuple[int, int]], frame: Frame, size: int) -> list[QuotaRow]:
    """Divide a size over strata of (samples in the pool, samples available).

    Raises:
        UsageError: no stratum has a quota.
    """
    leaves = [_Stratum(path, pool, has) for path, (pool, has) in sorted(cells.items())]
    whole = _nested(leaves, tuple(frame.quotas().values()))
    if not whole.reachable:
        raise UsageError(
            "no sample of the pool lies in a stratum with a quota: the percentages of "
            f"{', '.join(frame.stratify)} never meet, give some that do",
            fields=["quota"],
        )
    return list(_divide(whole, size, min(size, whole.available)))


def _nested(leaves: Sequence[_Stratum], quotas: Sequence[Quota], path: Path = ()) -> _Stratum:
    """The stratum of all leaves whose values begin with ``path``."""
    if not quotas:
        (leaf,) = leaves
        return leaf
    groups = groupby(leaves, key=lambda leaf: leaf.path[len(path)])
    parts = tuple(_nested(list(group), quotas[1:], (*path, value)) for value, group in groups)
    weights = tuple(_weight(part, quotas[0]) for part in parts)
    available = sum(part.available for part, weight in zip(parts, weights, strict=True) if weight)
    return _Stratum(path, sum(part.pool for part in parts), available, parts, weights)


def _weight(part: _Stratum, quota: Quota) -> Fraction:
    """What a stratum's share is in proportion to, among those beside it."""
    if not part.reachable:
        return Fraction(0)
    if isinstance(quota, dict):
        return exact(quota.get(part.path[-1], 0.0))
    weights: dict[Rule, Fraction] = {
        "proportional": Fraction(part.pool),
        "sqrt": Fraction(math.sqrt(part.pool)),
        "equal": Fraction(1),
    }
    return weights[quota]


def _divide(stratum: _Stratum, wanted: int, chosen: int) -> Iterator[QuotaRow]:
    if not stratum.parts:
        yield QuotaRow(stratum.path, stratum.pool, wanted, stratum.available, chosen)
        return
    has = [part.available for part in stratum.parts]
    wants = largest_remainder(stratum.weights, wanted)
    takes = fill(stratum.weights, wants, has, chosen)
    for part, want, take in zip(stratum.parts, wants, takes, strict=True):
        yield from _divide(part, want, take)


def check_values(connection: duckdb.DuckDBPyConnection, frame: Frame) -> None:
    """Refuse a quota on a value that no sample of the pool has: most likely a slip of the pen.

    Raises:
        UsageError: the message names the values that there are.
    """
    for column, quota in frame.quota.items():
        if not isinstance(quota, dict):
            continue
        rows = connection.execute(
            f'select "{column}" from samples group by all order by count(*) desc, 1'
        ).fetchall()
        there = [value for (value,) in rows]
        for value in quota:
            if value not in there:
                more = f" and {len(there) - NAMED} more" if len(there) > NAMED else ""
                hint = (
                    ", so stratify by risky, which the panel's answers tell"
                    if column == "risk" and there == ["unknown"]
                    else ""
                )
                raise UsageError(
                    f"no sample of the pool has the {column} '{value}' that a quota names: it has "
                    f"{', '.join(there[:NAMED])}{more}{hint}",
                    fields=["quota"],
                )


def named(frame: Frame, row: QuotaRow) -> str:
    """A stratum in words: ``risk 'none', category 'fire'``."""
    pairs = zip(frame.stratify, row.values, strict=True)
    return ", ".join(f"{column} '{value}'" for column, value in pairs)


def shortfalls(frame: Frame, rows: Sequence[QuotaRow]) -> list[str]:
    """One sentence on the strata that have fewer samples than their quota, one on the whole."""
    short = sorted((row for row in rows if row.missing), key=lambda row: -row.missing)
    if not short:
        return []
    first = "; ".join(
        f"{named(frame, row)}: {row.available} of {row.wanted}" for row in short[:SHORT_NAMED]
    )
    more = f"; and {len(short) - SHORT_NAMED} more" if len(short) > SHORT_NAMED else ""
    sentences = [
        f"{len(short)} of {len(rows)} strata have fewer samples than their quota ({first}{more}): "
        f"{sum(row.missing for row in short)} in all, made up from the others as far as they go"
    ]
    size, chosen = sum(row.wanted for row in rows), sum(row.chosen for row in rows)
    if chosen < size:
        sentences.append(
            f"the selection is {chosen} samples instead of {size}: strata with a quota hold no more"
        )
    return sentences
