"""The nearest box that gives what was asked for, where a box gives less.

A sample lies so far outside as the edge that has to give most, as a share of that score's range:
max((q_low − Q)/9, (Q − q_high)/9, (u_min − U)/4.5, 0). The nearest box moves edges no farther than
it takes until every stratum of the frame (or the whole) can give what is wanted of it, and only to
samples that there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import duckdb

from qibox.box import INSTABILITY_RANGE, QUALITY_RANGE, Box
from qibox.selection.edges import StratumBox
from qibox.selection.quotas import QuotaRow

_OUTSIDE = """
create or replace temp table outside as
select candidates.*, greatest((q_low - quality) / {q_range}, (quality - q_high) / {q_range},
                              (u_min - instability) / {u_range}, 0) as far
from candidates join boxes using (stratum)
where worth is not null and sample_id not in (select sample_id from left_out)
"""


@dataclass(frozen=True)
class Nearest:
    """A box that gives as many samples as were asked for, or all that any box gives."""

    boxes: tuple[StratumBox, ...]
    gives: int  # samples in it
    enough: bool  # whether that is all that was asked for, quotas included


def nearest(
    connection: duckdb.DuckDBPyConnection,
    boxes: Sequence[StratumBox],
    quotas: Sequence[QuotaRow],
    columns: Sequence[str],
    wanted: int,
) -> Nearest:
    """Widen the boxes until each stratum gives what its quota asks, or without one ``wanted``.

    Reads candidates, boxes and left_out; how surely samples lie in a box is not asked. What a
    stratum lacks altogether no box can give.
    """
    q_range, u_range = (high - low for low, high in (QUALITY_RANGE, INSTABILITY_RANGE))
    connection.execute(_OUTSIDE.format(q_range=q_range, u_range=u_range))
    cells = [(row.values, row.wanted) for row in quotas] or [((), wanted)]
    reach = [_reach(connection, columns, values, number) for values, number in cells if number]
    far = max((distance for distance, _ in reach), default=0.0)
    found = connection.execute(
        "select stratum, min(quality), max(quality), min(instability) from outside "
        "where far <= ? group by stratum",
        [far],
    ).fetchall()
    held = {stratum: edges for stratum, *edges in found}
    wider = tuple(_wider(each, held.get(each.stratum)) for each in boxes)
    (row,) = connection.execute("select count(*) from outside where far <= ?", [far]).fetchall()
    return Nearest(wider, int(row[0]), all(enough for _, enough in reach))


def _reach(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[str],
    values: Sequence[str],
    wanted: int,
) -> tuple[float, bool]:
    """How far the last of the wanted samples of a stratum lies, and whether it has as many."""
    same = " and ".join(f'"{column}" = ?' for column in columns if values) or "true"
    found = connection.execute(
        f"select far from outside where {same} order by far limit ?", [*values, wanted]
    ).fetchall()
    return (found[-1][0] if found else 0.0), len(found) == wanted


def _wider(stratum: StratumBox, held: list[float] | None) -> StratumBox:
    if held is None:
        return stratum
    low, high, least = held
    box = stratum.box
    wider = Box(min(box.q_low, low), max(box.q_high, high), min(box.u_min, least))
    return replace(stratum, box=wider)
