"""The QI-Box: a band on quality and a minimum on instability."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from qibox.fields import Deciding
from qibox.manifests.common import Checked, Manifest


class Edge(Checked):
    """One edge of the box, as a value of the written score or as a quantile of the pool's."""

    value: Deciding[Annotated[float, Field(allow_inf_nan=False)] | None] = None
    quantile: Deciding[Annotated[float, Field(ge=0, le=1)] | None] = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.value is None) == (self.quantile is None):
            raise ValueError("an edge is either a value or a quantile")
        return self


Rank = Literal["instability", "safety-spread", "trainee", "coverage", "weights", "random"]


class BoxManifest(Manifest):
    """Edges are included: q_low ≤ quality ≤ q_high and instability ≥ u_min."""

    q_low: Deciding[Edge]
    q_high: Deciding[Edge]
    u_min: Deciding[Edge]
    limit: Deciding[Annotated[int, Field(ge=1)] | None] = None  # most samples let through
    # who goes first under a limit
    rank: Deciding[Rank] = "instability"
    # what a quantile is taken over
    within: Deciding[Literal["pool", "risk", "category", "source", "severity", "risky"]] = "pool"
