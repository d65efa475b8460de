"""The comparison: arms that are trained under the same draws, and how they are compared."""

import shlex
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from qibox.fields import Deciding, Operating
from qibox.manifests.common import Checked, Identifier, Manifest

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _words(text: str) -> str:
    try:
        shlex.split(text)
    except ValueError as error:
        raise ValueError(f"'{text}' cannot be split into words: {error}") from error
    return text


Words = Annotated[str, AfterValidator(_words)]  # options as one types them


class Arm(Checked):
    """One way of choosing and of training."""

    name: Deciding[Identifier]
    select: Deciding[Words]  # what follows the run after `qibox select`
    train: Deciding[Words] = ""  # likewise after `qibox train`


class World(Checked):
    """A scored run that replicates are drawn in, and what belongs to it."""

    run: Deciding[Annotated[str, Field(min_length=1)]]  # a path or URL
    pool: Deciding[str | None] = None  # its held-out benchmark; null: the comparison's
    recipe: Deciding[str | None] = None  # likewise
    policy: Deciding[str | None] = None  # its start policy; null: the recipe's


class ComparisonManifest(Manifest):
    """Arms, replicates, what is measured when, and what decides."""

    arms: Deciding[Annotated[tuple[Arm, ...], Field(min_length=2)]]
    against: Deciding[
        tuple[Identifier, ...]
    ] = ()  # arms that the others must beat; none: the first
    seeds: Deciding[Annotated[tuple[Seed, ...], Field(min_length=1)]]  # a replicate each, a world
    worlds: Deciding[tuple[World, ...]] = ()  # none: the run alone that the comparison is kept in
    recipe: Deciding[str] = "mini"
    steps: Deciding[Count | None] = None  # null: the recipe's
    checkpoints: Deciding[tuple[Count, ...]] = ()  # steps before the last to be evaluated as well
    pool: Deciding[str] = "mini-heldout"  # held out: no arm trains on it
    limit: Deciding[Count | None] = 300  # its first so many samples; null: all
    samples_per_model: Deciding[Count] = 5  # answers to each of them
    judges: Deciding[tuple[str, ...]] = ()  # none: the run's first
    last_judges: Deciding[tuple[str, ...]] = ()  # asked of the last step alone
    measure: Deciding[Literal["safety", "helpfulness"]] = "safety"  # primary: decides
    among: Deciding[Literal["implicit", "explicit", "none"]] = "implicit"
    margin: Deciding[Annotated[float, Field(gt=0, le=1)]] = 0.02  # helpfulness may be so much less
    workers: Operating[Count | None] = None  # trainings at a time; null: as cores or GPUs allow

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        names = [arm.name for arm in self.arms]
        for what, values in (
            ("arm", names),
            ("seed", self.seeds),
            ("checkpoint", self.checkpoints),
        ):
            twice = sorted({str(value) for value in values if list(values).count(value) > 1})
            if twice:
                raise ValueError(f"the {what} {twice[0]} comes twice")
        unknown = [name for name in self.against if name not in names]
        if unknown:
            raise ValueError(f"against names '{unknown[0]}': there are {', '.join(names)}")
        if self.steps is not None and max(self.checkpoints, default=0) >= self.steps:
            raise ValueError(
                f"checkpoint {max(self.checkpoints)} is not before the last step, {self.steps}"
            )
        return self

    @property
    def opponents(self) -> tuple[str, ...]:
        """The arms that each other one is compared with."""
        return self.against or (self.arms[0].name,)
