"""Farthest first: each next sample is the one farthest from all that were taken before it.

After Gonzalez (Theoretical Computer Science 38, 1985): the largest distance of any sample to the
nearest taken one is at most twice the smallest that so many could have. Used to choose training
samples by Sener & Savarese (ICLR 2018).

Distances only shrink. So the farthest sample is known without looking at all while it lies farther
than all but a few did when these few were put aside: one product of matrices then updates the
distances of everybody to all that were taken of the few. No n × n matrix, and exactly the order
that looking at everybody each time would give.
"""

import numpy as np
import numpy.typing as npt

from qibox.coverage.vectors import ROWS, Floats

FEW = 4096  # samples put aside
AT_ONCE = 256  # taken of them at most before everybody's distances are updated
FAR = np.float32(1 << 24)  # from nobody: above any distance
TAKEN = np.float32(-1.0)

Places = npt.NDArray[np.int64]


def farthest_first(rows: Floats, cells: Places, room: Places) -> Places:
    """Take samples, as many of each cell as it has room for or samples; in order of taking.

    ``rows`` (n, d) are whole numbers as :mod:`qibox.coverage.vectors` makes them, ``cells`` (n,)
    say which of ``room`` (cells,) a sample takes. Distances are to all taken ones, of any cell. Of
    equally far samples the first goes first, so the first of all is row 0 if it has room.
    """
    left = np.minimum(room, np.bincount(cells, minlength=len(room)))
    total = int(left.sum())
    square = np.einsum("ij,ij->i", rows, rows)  # (n,)
    far = np.full(len(rows), FAR)  # (n,) squared distance to the nearest taken one; TAKEN: out
    far[left[cells] == 0] = TAKEN
    order: list[int] = []
    while len(order) < total:
        taken = _take_some(rows, square, far, cells, left, total - len(order))
        order += taken
        _update(rows, square, far, taken)
        far[left[cells] == 0] = TAKEN
    return np.array(order, np.int64)


def _take_some(
    rows: Floats, square: Floats, far: Floats, cells: Places, left: Places, most: int
) -> list[int]:
    """The next samples, as far as a few tell them; marks them in ``far``, counts in ``left``."""
    few, outside = _farthest(far)
    if not len(few):
        return _take_first(far, cells, left, most)
    near, own, mine = rows[few], square[few], far[few].copy()
    taken: list[int] = []
    while len(taken) < min(most, AT_ONCE):
        at = int(mine.argmax())  # the first of them
        if mine[at] <= outside:
            break
        place = int(few[at])
        taken.append(place)
        mine[at] = far[place] = TAKEN
        left[cells[place]] -= 1
        if left[cells[place]] == 0:
            mine[cells[few] == cells[place]] = TAKEN
        np.minimum(mine, own + square[place] - 2 * (near @ rows[place]), out=mine)
    return taken


def _farthest(far: Floats) -> tuple[Places, np.float32]:
    """Those farther than all others, in the order of rows, and how far these lie; may be none."""
    if len(far) <= FEW:
        return np.flatnonzero(far > TAKEN), TAKEN
    limit = np.partition(far, len(far) - FEW - 1)[len(far) - FEW - 1]
    return np.flatnonzero(far > limit), limit


def _take_first(far: Floats, cells: Places, left: Places, most: int) -> list[int]:
    """Where more than a few are equally far: the first, or where all are as near as can be, all."""
    taken: list[int] = []
    best = far.max()
    for place in np.flatnonzero(far == best).tolist():
        if left[cells[place]]:
            taken.append(place)
            left[cells[place]] -= 1
            far[place] = TAKEN
        if len(taken) == (1 if best else most):
            break
    return taken


def _update(rows: Floats, square: Floats, far: Floats, taken: list[int]) -> None:
    """Bring everybody's distance to the nearest taken one up to date."""
    new = rows[taken].T.copy()  # (d, taken)
    for start in range(0, len(rows), ROWS):
        part = slice(start, start + ROWS)
        product = rows[part] @ new  # (rows, taken)
        nearest = (square[taken] - 2 * product).min(axis=1) + square[part]
        np.minimum(far[part], nearest, out=far[part])
