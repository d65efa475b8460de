"""Taking samples: those in the box, then as many of them as are asked for, in SQL.

Reads the table candidates and left_out of a connection; fills boxes, passed and chosen.
"""

import duckdb

from qibox.coverage.vectors import Vectors
from qibox.errors import QiboxError
from qibox.selection.edges import StratumBox, stratum_boxes
from qibox.selection.quotas import QuotaRow, allot
from qibox.selection.ranking import order_of
from qibox.selection.request import Request
from qibox.selection.spreading import strata_shares, take_spread

_BOXES = "create temp table boxes (stratum varchar, q_low double, q_high double, u_min double)"

_IN_BOX = """
create temp table in_box as
select candidates.* from candidates join boxes using (stratum)
where quality between q_low and q_high and instability >= u_min
  and sample_id not in (select sample_id from left_out)
"""

_ALL_IN_BOX = """
create temp table in_box as
from candidates where sample_id not in (select sample_id from left_out)
"""

_CHOSEN = """
create or replace temp table chosen as
with ranked as (
    select *, row_number() over (partition by stratum order by {rank}) as place,
           count(*) over (partition by stratum) as size
    from passed
)
select sample_id, stratum, quality, instability from ranked
order by (place - 0.5) / size, {rank} limit {limit}
"""

_CHOSEN_IN_FRAME = """
create or replace temp table chosen as
with ranked as (
    select *, row_number() over (partition by {columns} order by {rank}) as place from passed
)
select sample_id, stratum, quality, instability
from ranked join quotas using ({columns}) where place <= take
"""


def apply_box(
    connection: duckdb.DuckDBPyConnection, request: Request
) -> tuple[list[StratumBox], int]:
    """Fill the table passed with the candidates that the box lets through and a rank can order.

    Returns the boxes, none where there is no box, and how many cannot be ranked.
    """
    boxes = [] if request.box is None else stratum_boxes(connection, request.box)
    connection.execute(_BOXES)
    if boxes:
        rows = [(b.stratum, b.box.q_low, b.box.q_high, b.box.u_min) for b in boxes]
        connection.executemany("insert into boxes values (?, ?, ?, ?)", rows)
    connection.execute(_IN_BOX if request.box is not None else _ALL_IN_BOX)
    connection.execute("create temp table passed as from in_box where worth is not null")
    return boxes, count(connection, "in_box") - count(connection, "passed")


def take(
    connection: duckdb.DuckDBPyConnection, request: Request, size: int, vectors: Vectors | None
) -> list[QuotaRow]:
    """Fill the table chosen with so many of the table passed; return what each stratum gives.

    ``vectors`` are those of a choice that is ranked by coverage, else None.

    Raises:
        UsageError: no stratum has a quota.
        QiboxError: those that have one are empty.
    """
    if request.frame is None and vectors is not None:
        take_spread(connection, ["stratum"], strata_shares(connection, size), vectors)
        return []
    if request.frame is None:
        connection.execute(_CHOSEN.format(rank=order_of(request), limit=size))
        return []
    quotas = allot(connection, request.frame, size)
    if not any(row.chosen for row in quotas):
        raise QiboxError(
            f"none of the {count(connection, 'passed')} samples that could be chosen from lies in "
            "a stratum with a quota: give quotas to the strata that have some",
            fields=["quota"],
        )
    if vectors is not None:
        cells = [(row.values, row.chosen) for row in quotas]
        take_spread(connection, request.frame.stratify, cells, vectors)
        return quotas
    names = [f'"{column}"' for column in request.frame.stratify]
    typed = ", ".join(f"{name} varchar" for name in names)
    connection.execute(f"create or replace temp table quotas ({typed}, take bigint)")
    marks = ", ".join("?" for _ in names)
    connection.executemany(
        f"insert into quotas values ({marks}, ?)", [(*row.values, row.chosen) for row in quotas]
    )
    connection.execute(_CHOSEN_IN_FRAME.format(columns=", ".join(names), rank=order_of(request)))
    return quotas


def count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Rows of a table of ours."""
    (row,) = connection.execute(f"select count(*) from {table}").fetchall()
    return int(row[0])
