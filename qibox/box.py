"""The QI-Box: which samples are let through.

A box keeps q_low ≤ quality ≤ q_high and instability ≥ u_min, edges included, on the written values
(6 decimals). A null score is in no box.
"""

import math
from dataclasses import dataclass

from qibox.errors import UsageError
from qibox.verdict import SCORE_CEILING, SCORE_FLOOR

QUALITY_RANGE = (SCORE_FLOOR, SCORE_CEILING)
INSTABILITY_RANGE = (0.0, (SCORE_CEILING - SCORE_FLOOR) / 2)  # half the scores at either end


@dataclass(frozen=True)
class Box:
    """A band on quality and a minimum on instability.

    Raises:
        UsageError: an edge is not a number, the band is reversed, or the box holds no possible
            score.
    """

    q_low: float
    q_high: float
    u_min: float

    def __post_init__(self) -> None:
        for edge in (self.q_low, self.q_high):
            if not math.isfinite(edge):
                raise UsageError(
                    f"an edge of the quality band must be a number, not {edge}",
                    fields=["q_low", "q_high"],
                )
        if not math.isfinite(self.u_min):
            raise UsageError(
                f"the minimum of instability must be a number, not {self.u_min}", fields=["u_min"]
            )
        band = f"the quality band from {self.q_low:g} to {self.q_high:g}"
        if self.q_low > self.q_high:
            raise UsageError(
                f"{band} is reversed: give the lower edge first", fields=["q_low", "q_high"]
            )
        low, high = QUALITY_RANGE
        if self.q_high < low or self.q_low > high:
            raise UsageError(
                f"{band} holds no quality: quality lies between {low:g} and {high:g}",
                fields=["q_low", "q_high"],
            )
        low, high = INSTABILITY_RANGE
        if self.u_min > high:
            raise UsageError(
                f"a minimum of instability of {self.u_min:g} lets nothing through: "
                f"instability lies between {low:g} and {high:g}",
                fields=["u_min"],
            )

    def holds(self, quality: float | None, instability: float | None) -> bool:
        """Whether a sample with these written scores is let through."""
        if quality is None or instability is None:
            return False
        return self.q_low <= quality <= self.q_high and instability >= self.u_min
