"""The miniature worlds there are, by name: the shipped one, and laboratories drawn from seeds."""

import re
from functools import lru_cache

from qibox.mini.lab import lab_world
from qibox.mini.shipped import MINI
from qibox.mini.world import World

_LAB = re.compile(r"lab-(0|[1-9][0-9]*)")


@lru_cache(maxsize=16)
def find_world(name: str) -> World:
    """Return ``mini``, or the laboratory ``lab-SEED``; equal names give one object.

    Raises:
        ValueError: no such world.
    """
    if name == MINI.name:
        return MINI
    if match := _LAB.fullmatch(name):
        return lab_world(int(match[1]))
    raise ValueError(f"no miniature world is named {name!r}: there are mini and lab-SEED")
