"""Whom a laboratory's models are trained to be: start policy, two relatives, five strangers.

Free of torch; the same for the same world and kinship. Relatives are the start policy with a share
of its weak spots dealt anew. A stranger has weak spots of its own and besides, drawn from the
world's seed, one weakness of another sort: what it does not look at, fears, mistakes or is swayed
by.
"""

import random
from dataclasses import replace
from typing import NamedTuple

from qibox.mini.questions import STYLES
from qibox.mini.train.personas import Persona
from qibox.mini.train.weak_spots import as_persona, draw_weakness, related
from qibox.mini.world import CELLS, SIDE, World

POLICY = "policy"  # its model's name
RELATIVES = ("brother", "sister")


class Steps(NamedTuple):
    """How long models are taught, in steps of one batch."""

    trunk: int
    panel: int
    policy: int
    batch: int = 32


class Cast(NamedTuple):
    """The personas of a laboratory."""

    policy: Persona  # the start policy's
    relatives: dict[str, Persona]  # by the panel model's name, as the next
    strangers: dict[str, Persona]

    @property
    def panel(self) -> dict[str, Persona]:
        """Who answers the pool."""
        return {**self.relatives, **self.strangers}


def draw_cast(world: World, kinship: float) -> Cast:
    """Draw a world's cast; ``kinship`` in [0, 1] is the relatives' share of kept weak spots."""
    rng = random.Random(f"{world.name}/cast")
    own = draw_weakness(world, rng)
    strangers = _strangers(world, rng)
    relatives = {name: as_persona(related(own, kinship, rng)) for name in RELATIVES}
    return Cast(as_persona(own), relatives, strangers)


def _strangers(world: World, rng: random.Random) -> dict[str, Persona]:
    styles = [name for name in STYLES if name != "neutral"]
    column = rng.randrange(SIDE)
    objects = rng.sample(world.objects, 6)
    doubted = rng.sample(tuple(world.contexts), 2) + rng.sample(tuple(world.harms), 2)
    weaknesses: dict[str, Persona] = {
        "watchful": Persona(fears=frozenset(objects[:2]), fearing=0.7, alarm=0.15),
        "shortsighted": Persona(blind_cells=frozenset(range(column, CELLS, SIDE))),
        "obliging": Persona(swayed_by=frozenset({rng.choice(styles)})),
        "muddled": Persona(
            mistakes=dict(zip(objects[::2], objects[1::2], strict=True)),
            mistaking=0.6,
            weak_at=frozenset({"count"}),
        ),
        "evasive": Persona(vague_on=frozenset(doubted), forgetting=0.1),
    }
    return {name: _also(each, world, rng) for name, each in weaknesses.items()}


def _also(persona: Persona, world: World, rng: random.Random) -> Persona:
    """The persona with weak spots of its own."""
    drawn = draw_weakness(world, rng)
    return replace(persona, overlooks=drawn.pairs, complying=drawn.categories)
