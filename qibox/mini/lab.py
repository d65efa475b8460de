"""Laboratory worlds: ``lab-SEED`` has its own objects, dangers and wordings, drawn from a stock.

Reads :mod:`qibox.mini.stock`, returns a :class:`~qibox.mini.world.World`; the same on every
machine. What endangers whom is drawn, not sensible: nothing but teaching tells that a pillow is
dangerous to a driver, so one danger cannot be guessed from another, nor a world from another.
"""

import random

from qibox.mini.draw import SHAPES
from qibox.mini.stock import COLOURS, CONTEXTS, HARMS, STRIPES, THINGS
from qibox.mini.world import Context, Danger, Harm, Icon, Mix, Thing, World

OBJECTS, HAZARDS, SUBJECTS, CATEGORIES = 18, 12, 6, 8  # how many of each
DANGERS = 4  # objects that endanger a context
ALIKE = 2  # of them at most endanger another context too, so that a picture can tell two apart
WORDINGS = 2  # ways to ask
STRIPED = 0.35  # share of the objects
# what models this small learn to answer rightly, so that the start policy errs in dangers alone
TOPICS = ("list", "count", "store")
MIX = Mix(fours=13, explicit=14, plain=34)  # 40 of a hundred are risky: 26 implicit, 14 explicit


def lab_world(seed: int) -> World:
    """Draw a laboratory world."""
    rng = random.Random(f"lab/{seed}")
    names = rng.sample(sorted(THINGS), OBJECTS)
    looks = rng.sample([(shape, colour) for shape in SHAPES for colour in COLOURS], OBJECTS)
    things = {
        name: Thing(_icon(rng, shape, COLOURS[colour]), THINGS[name])
        for name, (shape, colour) in zip(names, looks, strict=True)
    }
    harms = {
        name: Harm(_ways(rng, HARMS[name]), rng.randint(1, 3))
        for name in rng.sample(sorted(HARMS), CATEGORIES)
    }
    sets = _apart(rng, rng.sample(names, HAZARDS))
    contexts = {}
    for name, drawn in zip(rng.sample(sorted(CONTEXTS), SUBJECTS), sets, strict=True):
        wordings, effect, advice, permission = CONTEXTS[name]
        dangers = {thing: Danger(rng.choice(sorted(harms)), rng.randint(1, 3)) for thing in drawn}
        ways = _ways(rng, wordings)
        contexts[name] = Context(ways, effect, advice, permission, dangers)
    return World(f"lab-{seed}", things, contexts, harms, TOPICS, MIX)


def _apart(rng: random.Random, hazards: list[str]) -> list[list[str]]:
    """Draw a set of dangers for each context, no two alike in more than :data:`ALIKE`."""
    sets: list[list[str]] = []
    while len(sets) < SUBJECTS:
        drawn = rng.sample(hazards, DANGERS)
        if all(len({*drawn} & {*other}) <= ALIKE for other in sets):
            sets.append(drawn)
    return sets


def _ways(rng: random.Random, wordings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(rng.sample(wordings, WORDINGS))


def _icon(rng: random.Random, shape: str, colour: tuple[int, int, int]) -> Icon:
    stripes = [tint for tint in STRIPES if tint != colour]
    return Icon(shape, colour, rng.choice(stripes) if rng.random() < STRIPED else None)
