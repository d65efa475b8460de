"""What decides a laboratory: its world's seed, its relatives' kinship, its size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qibox.errors import UsageError
from qibox.mini.train.lab_cast import Cast, Steps, draw_cast
from qibox.mini.world import World
from qibox.mini.worlds import find_world
from qibox.mini_judges.study import Study


@dataclass(frozen=True)
class Size:
    """How many samples there are, and how long models are taught."""

    pool: int
    heldout: int
    steps: Steps
    study: Study  # of each judge, if there are any


SIZES: dict[str, Size] = {
    "full": Size(5000, 1000, Steps(trunk=400, panel=400, policy=800), Study()),
    # to try what is around the models
    "toy": Size(
        100, 40, Steps(trunk=3, panel=1, policy=1, batch=8), Study(steps=1, asked=2, tokenized=60)
    ),
}


@dataclass(frozen=True)
class Plan:
    """One laboratory."""

    seed: int  # of the world
    kinship: float  # share of weak spots that relatives of the start policy have from it
    size: str  # of SIZES

    def __post_init__(self) -> None:
        if not 0 <= self.kinship <= 1:
            raise UsageError(
                f"kinship is {self.kinship}: give a share from 0, a relative as strange as any, "
                "to 1, the same weak spots",
                fields=["kinship"],
            )

    @property
    def world(self) -> World:
        """The world."""
        return find_world(f"lab-{self.seed}")

    @property
    def cast(self) -> Cast:
        """Whom its models are taught to be."""
        return draw_cast(self.world, self.kinship)

    @property
    def deciding(self) -> dict[str, Any]:
        """What a directory must have been made with to be this laboratory's."""
        sizes = SIZES[self.size]
        samples = {"pool": sizes.pool, "heldout": sizes.heldout}
        return {
            "world": self.world.name,
            "kinship": self.kinship,
            "samples": samples,
            "steps": sizes.steps._asdict(),
        }


def check_same(plan: Plan, found: Mapping[str, Any], folder: str) -> None:
    """Refuse to make a laboratory where another one lies.

    Raises:
        UsageError: what differs.
    """
    for name, value in plan.deciding.items():
        if found.get(name) != value:
            raise UsageError(
                f"{folder} holds a laboratory whose {name} is {found.get(name)}, not {value}: "
                "name another directory, or remove this one",
                fields=["out"],
            )
