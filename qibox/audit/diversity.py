"""How varied texts are: a policy that writes one reflection for all has learned to write one.

- distinct n-grams: different ones over all, in (0, 1]; Li et al., A Diversity-Promoting Objective
  Function for Neural Conversation Models (2016). It falls as there are more texts, so compare steps
  of equal numbers.
- nearest neighbour: mean over texts of the greatest Jaccard similarity of its set of 2-grams to
  that of another text, in [0, 1]; 1 where each text has its equal.

Words are what white space parts, in lower case.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

SIZES: Final = (1, 2, 3)
NEIGHBOUR: Final = 2


def distinct(texts: Sequence[str], n: int) -> float | None:
    """Different n-grams over all n-grams; None where no text is so long."""
    every = [gram for text in texts for gram in _grams(text, n)]
    return len(set(every)) / len(every) if every else None


def nearest(texts: Sequence[str]) -> float | None:
    """The mean similarity to the nearest other text; None for fewer than two."""
    if len(texts) < 2:
        return None
    sets = [set(_grams(text, NEIGHBOUR)) or {(text,)} for text in texts]
    places = {gram: at for at, gram in enumerate(sorted(set().union(*sets)))}
    has = np.zeros((len(texts), len(places)), np.float32)
    for row, grams in enumerate(sets):
        has[row, [places[gram] for gram in grams]] = 1
    shared = has @ has.T
    size = has.sum(axis=1)
    similar = shared / (size[:, None] + size[None, :] - shared)
    np.fill_diagonal(similar, -1)
    return float(similar.max(axis=1).mean())


def _grams(text: str, n: int) -> list[tuple[str, ...]]:
    words = text.lower().split()
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
