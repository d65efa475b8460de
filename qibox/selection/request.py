"""What a person asks of a selection."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from qibox.box import INSTABILITY_RANGE, QUALITY_RANGE, Box
from qibox.errors import UsageError
from qibox.manifests.box import BoxManifest, Edge
from qibox.manifests.common import Checked, Identifier, check_name
from qibox.selection.frame import Frame, check_column


def _check_within(text: str) -> str:
    if text != "pool":
        for column in text.split(","):
            check_column(column)
    return text


Within = Annotated[str, AfterValidator(_check_within)]  # pool, or columns by comma

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
    stratum of its columns by itself. A ``frame`` divides the number of samples, ``random`` or
    ``size``, over strata of its own; ``size`` then takes the place of the box's limit. ``where``
    makes a smaller pool of those who meet it. ``twins`` is the share of the selection that is
    harmless samples like the chosen risky ones (:mod:`qibox.selection.twins`); frame and box rule
    the rest.
    """

    name: Identifier = "default"
    box: BoxManifest | None = None  # its own `within` is not used: the request's is
    random: Annotated[int, Field(ge=1)] | None = None
    within: Within = "pool"
    seed: int = 0  # of what is drawn at random
    frame: Frame | None = None
    size: Annotated[int, Field(ge=1)] | None = None  # samples; of a box in a frame
    where: str | None = None  # SQL, true or false of a sample
    weights: str | None = None  # SQL, a number; what it does, the rank says
    policy: str | None = None  # whose profile is asked; null: the only one
    embeddings: str | None = None  # file of vectors to cover; null: what the package makes itself
    twins: Annotated[float, Field(gt=0, lt=100)] | None = None  # percent
    # P(in box) that a sample must have at least (qibox.confidence); null: none is asked for
    min_confidence: Annotated[float, Field(gt=0, le=1)] | None = None
    augment: Annotated[int, Field(ge=1)] | None = None  # pictures made of each chosen sample's
    paraphrases: str | None = None  # file of other wordings, each a row beside its sample's
    rephrase: str | None = None  # who is asked for other wordings; see qibox.augment.settled
    recipe: str | None = None  # whose prompt slots the number of samples is; for the record

    @property
    def wanted(self) -> int | None:
        """How many samples were asked for, twins included; None: whatever the box holds."""
        return self.random or self.size or (self.box.limit if self.box else None)

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.box is None) == (self.random is None):
            raise ValueError("a selection has either a box or a number of random samples")
        if (self.size is not None) != (self.frame is not None and self.box is not None):
            raise ValueError("a box in a frame has a size, and nothing else has")
        if self.box is None and self.min_confidence is not None:
            raise ValueError("how surely a sample lies in the box needs a box")
        return self


class Steering(Checked):
    """What steers a choice besides its box; see :class:`Request`."""

    where: str | None = None
    weights: str | None = None
    policy: str | None = None
    embeddings: str | None = None
    twins: float | None = None
    min_confidence: float | None = None
    augment: int | None = None
    paraphrases: str | None = None
    rephrase: str | None = None
    recipe: str | None = None


UNSTEERED = Steering()


def by_box(
    box: BoxManifest,
    name: str = "default",
    within: str | None = None,
    seed: int = 0,
    frame: Frame | None = None,
    size: int | None = None,
    steering: Steering = UNSTEERED,
) -> Request:
    """Ask for the samples that a box lets through; in a frame, for ``size`` of them.

    Raises:
        UsageError: the box's band is reversed or can hold nothing, the name is none, a frame is
            given without a size or the reverse, or weights and rank do not go together.
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
    if steering.embeddings is not None and box.rank != "coverage":
        raise _no_coverage(steering.embeddings)
    return _made(
        name,
        steering,
        box=_ranked(box, steering),
        within=within or box.within,
        seed=seed,
        frame=frame,
        size=size,
    )


def at_random(
    count: int,
    name: str = "default",
    within: str | None = None,
    seed: int = 0,
    frame: Frame | None = None,
    steering: Steering = UNSTEERED,
) -> Request:
    """Ask for as many scored samples drawn at random, in a frame where one is given.

    Raises:
        UsageError: the name is none.
    """
    if steering.min_confidence is not None:
        raise UsageError(
            "samples drawn at random lie in no box, so none lies in it surely: leave it out",
            fields=["min_confidence"],
        )
    if steering.embeddings is not None:
        raise _no_coverage(steering.embeddings)
    return _made(name, steering, random=count, within=within or "pool", seed=seed, frame=frame)


def _no_coverage(embeddings: str) -> UsageError:
    return UsageError(
        f"embeddings {embeddings} are what coverage is counted over: rank by coverage, or leave "
        "them out",
        fields=["embeddings", "rank"],
    )


def _made(name: str, steering: Steering, **fields: object) -> Request:
    """The request, with what is wrong with a share or a column as a sentence.

    Raises:
        UsageError: see :func:`by_box`.
    """
    name = check_name(name, "a selection")
    twins = steering.twins
    if twins is not None and not 0 < twins < 100:
        raise UsageError(
            f"{twins:g}% of twins is no share: give more than 0 and less than 100", fields=["twins"]
        )
    try:
        _check_within(str(fields["within"]))
    except ValueError as error:
        raise UsageError(str(error), fields=["within"]) from error
    return Request.model_validate({"name": name, **fields, **steering.model_dump()})


def _ranked(box: BoxManifest, steering: Steering) -> BoxManifest:
    """The box with the rank that weights ask for by themselves."""
    if steering.weights is None:
        if box.rank == "weights":
            raise UsageError(
                "ranking by weights needs an expression to count them", fields=["weights"]
            )
        return box
    if box.rank in ("safety-spread", "trainee", "coverage"):
        raise UsageError(
            f"weights are a rank of their own, so {box.rank} has nothing to say: leave one out, or "
            "put both into the expression",
            fields=["weights", "rank"],
        )
    return box.model_copy(update={"rank": "weights"}) if box.rank == "instability" else box


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
