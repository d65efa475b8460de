"""What a person asks of a selection."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from qibox.box import INSTABILITY_RANGE, QUALITY_RANGE, Box
from qibox.errors import UsageError
from qibox.manifests.box import BoxManifest, Edge
from qibox.manifests.common import Checked, Identifier, check_name
from qibox.selection.frame import Frame

Within = Literal["pool", "risk", "category", "source"]

OPEN_BOX = BoxManifest(
    name="open",
    about="Every scored sample; edges are put over it.",
    q_low=Edge(value=QUALITY_RANGE[0]),
    q_high=Edge(value=QUALITY_RANGE[1]),
    u_min=Edge(value=INSTABILITY_RANGE[0]),
)


class Request(Checked):
    """Either a box, or a number of samples drawn at random as its control.

    ``within`` is what quantile edges and a limit are taken over: the pool as a whole, or each
    stratum of that column by itself. A ``frame`` divides the number of samples, ``random`` or
    ``size``, over strata of its own; ``size`` then takes the place of the box's limit.
    """

    name: Identifier = "default"
    box: BoxManifest | None = None  # its own `within` is not used: the request's is
    random: Annotated[int, Field(ge=1)] | None = None
    within: Within = "pool"
    seed: int = 0  # of what is drawn at random
    frame: Frame | None = None
    size: Annotated[int, Field(ge=1)] | None = None  # samples; of a box in a frame

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.box is None) == (self.random is None):
            raise ValueError("a selection has either a box or a number of random samples")
        if (self.size is not None) != (self.frame is not None and self.box is not None):
            raise ValueError("a box in a frame has a size, and nothing else has")
        return self


def by_box(
    box: BoxManifest,
    name: str = "default",
    within: Within | None = None,
    seed: int = 0,
    frame: Frame | None = None,
    size: int | None = None,
) -> Request:
    """Ask for the samples that a box lets through; in a frame, for ``size`` of them.

    Raises:
        UsageError: the box's band is reversed or can hold nothing, the name is none, or a frame is
            given without a size or the reverse.
    """
    _check(box)
    if (frame is None) != (size is None):
        raise UsageError(
            f"a selection of {size} samples has no strata: name columns to stratify by, or limit it"
            if frame is None
            else "quotas are shares of a size: say of how many samples",
            fields=["stratify", "limit"] if frame is None else ["size"],
        )
    if size is not None:
        box = box.model_copy(update={"limit": None})
    return Request(
        name=check_name(name, "a selection"),
        box=box,
        within=within or box.within,
        seed=seed,
        frame=frame,
        size=size,
    )


def at_random(
    count: int,
    name: str = "default",
    within: Within | None = None,
    seed: int = 0,
    frame: Frame | None = None,
) -> Request:
    """Ask for as many scored samples drawn at random, in a frame where one is given.

    Raises:
        UsageError: the name is none.
    """
    within = within or "pool"
    return Request(
        name=check_name(name, "a selection"), random=count, within=within, seed=seed, frame=frame
    )


def _check(box: BoxManifest) -> None:
    """Refuse what no pool can satisfy; edges that are quantiles have their values later."""
    low, high, least = box.q_low, box.q_high, box.u_min
    if low.quantile is not None and high.quantile is not None and low.quantile > high.quantile:
        raise UsageError(
            f"the quality band from quantile {low.quantile:g} to {high.quantile:g} is reversed: "
            "give the lower edge first",
            fields=["q_low.quantile", "q_high.quantile"],
        )
    Box(
        q_low=QUALITY_RANGE[0] if low.value is None else low.value,
        q_high=QUALITY_RANGE[1] if high.value is None else high.value,
        u_min=INSTABILITY_RANGE[0] if least.value is None else least.value,
    )
