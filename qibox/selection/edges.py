"""The box's edges as values: what each quantile is among the scores as they were written.

The quantile p of a stratum is its smallest written value v such that at least a share p of the
stratum's scored samples have a value ≤ v; p = 0 is the smallest value, p = 1 the largest. No
interpolation: an edge is always some sample's own score, so that ties at an edge are all let in.
"""

from dataclasses import dataclass
from typing import Literal

import duckdb

from qibox.box import Box
from qibox.errors import UsageError
from qibox.manifests.box import BoxManifest, Edge

Score = Literal["quality", "instability"]


@dataclass(frozen=True)
class StratumBox:
    """The box that the samples of one stratum must lie in."""

    stratum: str
    box: Box
    scored: int  # samples of the stratum that have scores


def stratum_boxes(connection: duckdb.DuckDBPyConnection, box: BoxManifest) -> list[StratumBox]:
    """Resolve the box in each stratum of ``candidates``; sorted by stratum.

    Reads the table candidates (stratum, quality, instability; none null).

    Raises:
        UsageError: in some stratum, a mixture of values and quantiles makes a reversed band.
    """
    rows = connection.execute(
        f"""
        with ranked as (
            select stratum, quality, instability,
                   cume_dist() over (partition by stratum order by quality) as quality_share,
                   cume_dist() over (partition by stratum order by instability) as instability_share
            from candidates
        )
        select stratum, count(*), {_value("quality", box.q_low)}, {_value("quality", box.q_high)},
               {_value("instability", box.u_min)}
        from ranked group by stratum order by stratum
        """
    ).fetchall()
    return [
        StratumBox(stratum, _box(stratum, low, high, least), scored)
        for stratum, scored, low, high, least in rows
    ]


def _value(score: Score, edge: Edge) -> str:
    """SQL for an edge. A share k/n and p are the same double whenever they are the same number."""
    if edge.quantile is None:
        return f"{edge.value!r}::double"
    return f"min({score}) filter ({score}_share >= {edge.quantile!r}::double)"


def _box(stratum: str, low: float, high: float, least: float) -> Box:
    if low > high:
        raise UsageError(
            f"the band is reversed where '{stratum}' is the stratum: its lower edge comes to "
            f"{low:g}, its upper one to {high:g}; give both edges as values or both as quantiles",
            fields=["q_low", "q_high", "q_low.quantile", "q_high.quantile"],
        )
    return Box(q_low=low, q_high=high, u_min=least)
