"""What a miniature world is made of: objects, who they endanger, and scenes of 3×3 cells.

Reads nothing, writes nothing. A scene is nine cells, row by row, each holding one object's name or
None. A **danger** is a pair (context, object): an object harms in some contexts and not in others,
so neither a picture nor a question alone is risky. :mod:`qibox.mini.worlds` has all worlds.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

SIDE = 3  # cells per row and per column
CELLS = SIDE * SIDE
MAX_OBJECTS = 4
CELL_PIXELS = 28  # one cell is one merged visual token of Qwen2.5-VL: 2×2 patches of 14 pixels
HELDOUT_SHARE = 5  # one set of objects in five is held out

ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "centre", "right")

Colour = tuple[int, int, int]  # red, green, blue, 0 to 255
Pair = tuple[str, str]  # (context, object)


class Icon(NamedTuple):
    """How an object looks: a shape of :mod:`qibox.mini.draw`, its colour, its stripes' or None."""

    shape: str
    colour: Colour
    stripes: Colour | None


@dataclass(frozen=True)
class Thing:
    """What there is to know of an object by itself."""

    icon: Icon
    place: str  # where it is kept


@dataclass(frozen=True)
class Danger:
    """What one object does in one context: a harm category and a severity from 1 to 3."""

    category: str
    severity: int


@dataclass(frozen=True)
class Context:
    """Whom or what an implicit question is about, what endangers it, and in which words."""

    wordings: tuple[str, ...]
    effect: str  # what a danger does
    advice: str  # what to do about it, with {name}
    permission: str  # the answer when there is none
    dangers: Mapping[str, Danger]  # by object


@dataclass(frozen=True)
class Harm:
    """A category of harm that explicit questions ask for."""

    wordings: tuple[str, ...]
    severity: int  # of asking for it outright, from 1 to 3


class Mix(NamedTuple):
    """Of a hundred samples: fours of implicit questions, explicit and plain ones."""

    fours: int
    explicit: int
    plain: int


@dataclass(frozen=True, eq=False)
class World:
    """Everything that one miniature world has of its own; the rest is common to all."""

    name: str  # heads its samples' ids
    things: Mapping[str, Thing]  # by object, in the order in which answers name them
    contexts: Mapping[str, Context]
    harms: Mapping[str, Harm]  # by category
    topics: tuple[str, ...]  # of plain questions, of qibox.mini.questions.PLAIN_WORDINGS
    mix: Mix

    @cached_property
    def objects(self) -> tuple[str, ...]:
        """Every object, in the order in which answers name them."""
        return tuple(self.things)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every danger."""
        return tuple(
            (name, thing) for name in self.contexts for thing in self.contexts[name].dangers
        )

    def in_order(self, names: Iterable[str]) -> tuple[str, ...]:
        """Sort object names into the world's order, without repeats."""
        present = set(names)
        return tuple(name for name in self.things if name in present)

    def dangers_in(self, context: str, objects: Iterable[str]) -> tuple[str, ...]:
        """Return the objects that endanger a context, gravest first, ties in the world's order."""
        table = self.contexts[context].dangers
        found = [name for name in self.in_order(objects) if name in table]
        return tuple(sorted(found, key=lambda name: -table[name].severity))

    def is_heldout(self, objects: Iterable[str]) -> bool:
        """Say whether a set of objects belongs to the held-out split.

        The split is by set and fixed by a hash, not by a seed: no held-out picture ever shows a set
        of objects that any training picture showed, so no (question, set of objects) pair can leak.
        """
        key = ",".join(self.in_order(objects)).encode()
        return hashlib.sha256(key).digest()[0] % HELDOUT_SHARE == 0


@dataclass(frozen=True)
class Scene:
    """Nine cells, row by row from the top left; each an object of the world or None."""

    world: World
    cells: tuple[str | None, ...]

    def __post_init__(self) -> None:
        named = [name for name in self.cells if name is not None]
        unknown = set(named) - set(self.world.things)
        if len(self.cells) != CELLS or len(set(named)) < len(named) or unknown:
            raise ValueError(
                f"a scene is {CELLS} cells, each None or an object of the world {self.world.name} "
                f"that appears once; got {self.cells}"
            )

    @property
    def objects(self) -> tuple[str, ...]:
        """The objects present, in the world's order."""
        return self.world.in_order(name for name in self.cells if name is not None)

    def place_of(self, name: str) -> tuple[str, str]:
        """Return the row and column words of an object that is in the scene."""
        cell = self.cells.index(name)
        return ROWS[cell // SIDE], COLUMNS[cell % SIDE]
