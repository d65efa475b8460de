"""What a comparison trains: a trial for each arm of each replicate, and what all is called."""

from collections.abc import Iterator
from dataclasses import dataclass

from qibox.manifests.comparison import Arm, ComparisonManifest, World

HOME = "comparisons"


@dataclass(frozen=True)
class Replicate:
    """One repetition of all arms under the same draws."""

    world: World
    seed: int


@dataclass(frozen=True)
class Trial:
    """One arm in one replicate: a selection and a training."""

    comparison: str
    replicate: Replicate
    arm: Arm

    @property
    def name(self) -> str:
        """What its selection and its policy are called in the world's run."""
        return f"{self.comparison}-{self.arm.name}-{self.replicate.seed}"

    def policies(self, checkpoints: tuple[int, ...]) -> list[str]:
        """The policies that are evaluated: those at checkpoints, then the last."""
        return [*(snapshot_name(self.name, step) for step in checkpoints), self.name]


def snapshot_name(policy: str, step: int) -> str:
    """What a policy is called as it was after a step of its training."""
    return f"{policy}-at-{step}"


def replicates_of(plan: ComparisonManifest, run: str) -> list[Replicate]:
    """A replicate each world and seed, seed by seed, so that a stopped comparison has whole ones.

    Args:
        run: the run that the comparison is kept in; the world where the plan names none.
    """
    worlds = plan.worlds or (World(run=run),)
    return [Replicate(world, seed) for seed in plan.seeds for world in worlds]


def trials_of(plan: ComparisonManifest, replicate: Replicate) -> Iterator[Trial]:
    """The replicate's trials, in the order of the arms."""
    return (Trial(plan.name, replicate, arm) for arm in plan.arms)


def comparison_path(name: str, file: str = "") -> str:
    """The folder of a comparison in the run it is kept in, or a file in it."""
    return f"{HOME}/{name}/{file}" if file else f"{HOME}/{name}"
