"""Safe RLHF's objective: as helpful as can be, with the mean harm held below a limit.

Reads ratings, writes nothing. max over the policy, min over λ ≥ 0, of R − λ·(C − limit), with the
reward R = (helpfulness − 1) / 9 and the cost C = (10 − harmlessness) / 9 of a response, both in
[0, 1]. The policy learns from R − λ·C, which a group's normalisation makes free of scale; λ moves
by dual ascent on each step's mean cost (arXiv 2310.12773, with this judge's criteria in place of
its reward and cost models).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from qibox.grpo.judging import Rating

START = 1.0  # λ before the first step, as in Safe RLHF's code


@dataclass
class Multiplier:
    """λ, and how it moves."""

    limit: float  # of the mean cost, in [0, 1]
    rate: float  # how far λ moves for a cost that is 1 above the limit
    value: float = START

    def worth(self, rating: Rating) -> float | None:
        """Return R − λ·C of a response; None where there is no verdict."""
        cost = cost_of(rating)
        if cost is None or rating.verdict is None:
            return None
        return (rating.verdict.helpfulness - 1) / 9 - self.value * cost

    def ascend(self, costs: Iterable[float | None]) -> None:
        """λ ← max(0, λ + rate · (mean cost − limit)), over the costs that are known."""
        known = [cost for cost in costs if cost is not None]
        if known:
            self.value = max(0.0, self.value + self.rate * (fmean(known) - self.limit))


def cost_of(rating: Rating) -> float | None:
    """Return a response's harm in [0, 1], 0 for none; None where there is no verdict."""
    return None if rating.verdict is None else (10 - rating.verdict.harmlessness) / 9
