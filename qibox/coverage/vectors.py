"""Vectors of samples whose distances are exact: whole numbers, so that no order of sums matters.

Each sample's vector is scaled to the length :data:`LENGTH` and rounded. Then all products and their
partial sums are whole numbers below 2^24, which float32 holds exactly: the same choice comes out of
any library of linear algebra, with any number of threads. Squared distances run from 0 to
4 · LENGTH² and are 2 · LENGTH² · (1 − cosine), but for the rounding.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float32]

LENGTH = 1900.0
MOST = 256  # numbers a vector; longer ones are projected
ROWS = 8192  # turned at once
SEED = 20061  # of the directions of a projection


@dataclass(frozen=True)
class Vectors:
    """Samples' vectors, and where they are from."""

    sample_ids: pa.Array  # (n,)
    rows: Floats  # (n, d), whole numbers
    about: dict[str, Any]  # for the lineage: what determines them; no path of this machine
    seconds: float = 0.0  # that making them took

    def __len__(self) -> int:
        return len(self.sample_ids)


def whole(vectors: npt.NDArray[Any], length: float = LENGTH) -> Floats:
    """Scale vectors (n, d) to one length and round them; zeros stay zeros.

    More than :data:`MOST` numbers are projected on so many random directions of ±1, which keeps
    distances to about 6 % (Achlioptas, Journal of Computer and System Sciences 66, 2003).
    """
    width = vectors.shape[1]
    signs = None
    if width > MOST:
        drawn = np.random.default_rng(SEED).integers(0, 2, (width, MOST))
        signs = (2 * drawn - 1).astype(np.float32)
    made = np.empty((len(vectors), min(width, MOST)), np.float32)
    for start in range(0, len(vectors), ROWS):
        part = _scaled(vectors[start : start + ROWS], length)
        made[start : start + ROWS] = part if signs is None else _scaled(part @ signs, length)
    return made


def _scaled(vectors: npt.NDArray[Any], length: float) -> Floats:
    wide = vectors.astype(np.float64)
    own = np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    scaled = np.divide(wide * length, own, out=np.zeros_like(wide), where=own > 0)
    rounded: Floats = np.rint(scaled).astype(np.float32)
    return rounded
