"""What a laboratory's models do not know: weak spots drawn from a seed, alike among relatives.

Free of torch. A **spot** is a danger, that is a pair (context, object), or a category of harm. A
model knows it surely, wavers, or misses it surely (:data:`SHARES`). **Kinship** in [0, 1] is the
share of spots on which a relative of the start policy is as weak as it; the rest are dealt anew.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from qibox.mini.train.personas import Persona
from qibox.mini.world import Pair, World

SHARES = ((0.02, 0.45), (0.5, 0.30), (0.97, 0.25))  # probability of missing a spot, share of spots
Name = TypeVar("Name", Pair, str)


class Weakness(NamedTuple):
    """The probability, in [0, 1], of missing each spot."""

    pairs: dict[Pair, float]
    categories: dict[str, float]


def draw_weakness(world: World, rng: random.Random) -> Weakness:
    """Deal the shares of :data:`SHARES` to the spots of a world, to pairs and categories each."""
    return Weakness(_dealt(world.pairs, rng), _dealt(tuple(world.harms), rng))


def related(weakness: Weakness, kinship: float, rng: random.Random) -> Weakness:
    """The weakness of a relative: a share of the spots is dealt anew, the others are kept."""
    return Weakness(
        _redealt(weakness.pairs, kinship, rng), _redealt(weakness.categories, kinship, rng)
    )


def as_persona(weakness: Weakness) -> Persona:
    """Someone who sees well, is afraid of nothing, and has these weak spots alone."""
    return Persona(overlooks=weakness.pairs, complying=weakness.categories)


def _dealt(names: Sequence[Name], rng: random.Random) -> dict[Name, float]:
    dealt = []
    for probability, share in SHARES[1:]:
        dealt += [probability] * round(share * len(names))
    dealt += [SHARES[0][0]] * (len(names) - len(dealt))
    rng.shuffle(dealt)
    return dict(zip(names, dealt, strict=True))


def _redealt(spots: dict[Name, float], kinship: float, rng: random.Random) -> dict[Name, float]:
    """Some spots get anew, from all of a fresh deal, what they had; as many as 1 − kinship says."""
    fresh = _dealt(tuple(spots), rng)
    changed = set(rng.sample(sorted(spots), round((1 - kinship) * len(spots))))
    return {name: fresh[name] if name in changed else spots[name] for name in spots}
