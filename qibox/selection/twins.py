"""Twins: harmless samples that share picture or question with a chosen risky one.

A policy that learns from risky samples alone comes to refuse whatever looks like them; a twin looks
like one and is harmless. Harmless is what the pool says so (risk none) or, where it does not know,
what no answer of the panel was unsafe on; risky likewise. Twins need scores but not lie in the box,
for what nobody wavers on is what they are to show.

Twins are taken so that every chosen risky sample has about as many: among those who share a
question (or the bytes of a picture) with c chosen ones, the j-th in random order (md5 of seed and
sample_id) stands at (j − ½)/c, a sample that shares both at the smaller of the two; first come
first, ties in that random order.
"""

from dataclasses import dataclass

import duckdb
import pyarrow as pa

_RISKY = "(risk in ('explicit', 'implicit') or (risk = 'unknown' and risky = 'yes'))"
HARMLESS = "(risk = 'none' or (risk = 'unknown' and risky = 'no'))"

# Every candidate's question and picture, as what they may share.
_SHARED = """
create temp table shared as
select sample_id, 'q' || md5(question) as what from candidates join pool using (sample_id)
union all
select sample_id, 'p' || lower(hex(picture)) from candidates join pictures using (sample_id)
where picture is not null
"""

_TWINS = f"""
create temp table twins as
with partners as (
    select what, count(*) as c from chosen join candidates using (sample_id)
    join shared using (sample_id) where {_RISKY} group by what
), could as (
    select sample_id, what, c, md5('{{seed:d}}:' || sample_id) as drawn
    from candidates join shared using (sample_id) join partners using (what)
    where {HARMLESS} and sample_id not in (select sample_id from chosen)
      and sample_id not in (select sample_id from left_out)
), placed as (
    select sample_id, drawn,
           (row_number() over (partition by what order by drawn) - 0.5) / c as place
    from could
)
select sample_id, drawn, min(place) as place from placed group by all
"""


@dataclass(frozen=True)
class Twins:
    """How many twins a selection has."""

    wanted: int
    available: int  # that share something with a chosen risky sample
    chosen: int


def fill_shared(connection: duckdb.DuckDBPyConnection, pictures: pa.Table) -> None:
    """Note what candidates may share; ``pictures`` has sample_id and picture, bytes' digests."""
    connection.register("pictures", pictures)
    connection.execute(_SHARED)
    connection.unregister("pictures")


def add_twins(connection: duckdb.DuckDBPyConnection, wanted: int, seed: int) -> Twins:
    """Add up to so many twins to the table chosen; their stratum there is null."""
    connection.execute("drop table if exists twins")
    connection.execute(_TWINS.format(seed=seed))
    (row,) = connection.execute("select count(*) from twins").fetchall()
    connection.execute(
        "insert into chosen select sample_id, null, quality, instability from candidates "
        "where sample_id in (select sample_id from twins order by place, drawn, sample_id limit ?)",
        [wanted],
    )
    return Twins(wanted, int(row[0]), min(wanted, int(row[0])))
