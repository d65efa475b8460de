"""Pairs of samples that are near in picture and in question.

Questions are compared without case, spaces and punctuation (NFKC): near is a normalised indel
similarity of :data:`NEAR_TEXT` or more (RapidFuzz). Pictures are near as
:mod:`qibox.likeness.signature` says; where neither has a picture, the question alone decides.

Every pair is looked at. A signature's blocks of 3 × 3 pixels, averaged, differ by no more than the
signature does, so pairs that are far apart in these 48 numbers, which one product of matrices tells
of a thousand samples at once, need no closer look.
"""

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qibox.likeness.signature import CONTRAST, NEAR, SIDE, SIZE, Flags, Signatures

NEAR_TEXT = 0.9
BLOCK = 3  # pixels a side
ROWS = 512  # compared with all others at once
PAIRS = 50_000  # looked at closely at once
_DROPPED = re.compile(r"[\W_]+")

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Looks:
    """What samples look like, row by row."""

    questions: Sequence[str]  # as :func:`plain` makes them
    signatures: Signatures  # (n, crops, SIZE)
    seen: Flags  # (n,): it has a picture with a signature
    blank: Flags  # (n,): it has no picture at all

    def __len__(self) -> int:
        return len(self.questions)


@dataclass(frozen=True)
class Near:
    """Pairs near in picture (or without any), and how near their questions are."""

    left: Places  # rows
    right: Places
    distance: npt.NDArray[np.float64]  # of the pictures, [0, 1]; NaN where there are none
    similarity: npt.NDArray[np.float64]  # of the questions, [0, 1]; 0 below NEAR_TEXT

    @property
    def both(self) -> Flags:
        """Which pairs are near in question, too."""
        found: Flags = self.similarity >= NEAR_TEXT
        return found


def plain(question: str | None) -> str:
    """A question without case, spaces and punctuation."""
    return _DROPPED.sub("", unicodedata.normalize("NFKC", question or "").casefold())


def near_pairs(left: Looks, right: Looks) -> Iterator[Near]:
    """All pairs that are near in picture, or in question where neither has one; by rows of left."""
    coarse = _Coarse(right)
    blank = np.flatnonzero(right.blank)
    for start in range(0, len(left), ROWS):
        rows = np.arange(start, min(start + ROWS, len(left)))
        yield from _near_pictures(left, right, rows[left.seen[rows]], coarse)
        if len(blank) and left.blank[rows].any():
            yield _near_questions(left, right, rows[left.blank[rows]], blank)


class _Coarse:
    """Block means of all signatures of one side, laid out so that a product gives distances."""

    def __init__(self, looks: Looks) -> None:
        self.crops = looks.signatures.shape[1]
        self.rows = np.flatnonzero(looks.seen)
        means = _blocks(looks.signatures[self.rows].reshape(-1, SIZE))  # (rows · crops, 48)
        square = (means**2).sum(axis=1, keepdims=True)
        self.other = np.hstack([-2 * means, np.ones_like(square), square]).T.copy()  # (50, …)

    def near(self, signatures: Signatures) -> tuple[Places, Places]:
        """Which (row of signatures, place of a crop) may be near."""
        means = _blocks(signatures)
        square = (means**2).sum(axis=1, keepdims=True)
        mine = np.hstack([means, square, np.ones_like(square)])
        bound = np.float32(means.shape[1] * NEAR**2 + 1e-3)  # what rounding may add
        found = np.flatnonzero(mine @ self.other <= bound)
        return np.divmod(found, self.other.shape[1])


def _blocks(signatures: Signatures) -> Floats:
    side = SIDE // BLOCK
    shape = (len(signatures), side, BLOCK, side, BLOCK, 3)
    means: Floats = signatures.reshape(shape).astype(np.float32).mean(axis=(2, 4)) / 255
    return means.reshape(len(signatures), side * side * 3)


def _near_pictures(left: Looks, right: Looks, rows: Places, coarse: _Coarse) -> Iterator[Near]:
    if not len(rows) or not len(coarse.rows):
        return
    mine, place = coarse.near(left.signatures[rows, 0])
    for start in range(0, len(mine), PAIRS):
        at, crop = mine[start : start + PAIRS], place[start : start + PAIRS]
        i, j = rows[at], coarse.rows[crop // coarse.crops]
        distance, limit = _closely(left.signatures[i, 0], right.signatures[j, crop % coarse.crops])
        keep = np.flatnonzero(distance <= limit)
        keep = keep[np.lexsort((distance[keep], j[keep], i[keep]))]  # the nearest crop first
        pair = i[keep] * len(right) + j[keep]
        keep = keep[np.flatnonzero(np.diff(pair, prepend=-1))]
        i, j = i[keep], j[keep]
        yield Near(i, j, distance[keep].astype(np.float64), _similarity(left, right, i, j))


def _closely(one: Signatures, other: Signatures) -> tuple[Floats, Floats]:
    """Distance of pairs of signatures, and how much it may be for them to be near; both (n,)."""
    a: Floats = one.astype(np.float32) / np.float32(255)  # (n, SIZE)
    b: Floats = other.astype(np.float32) / np.float32(255)
    distance = np.sqrt(((a - b) ** 2).mean(axis=1))
    contrast = np.minimum(_contrast(a), _contrast(b))
    return distance, np.minimum(np.float32(NEAR), CONTRAST * contrast)


def _contrast(signatures: Floats) -> Floats:
    """How far a picture's pixels lie from its own mean colour."""
    pixels = signatures.reshape(len(signatures), -1, 3)
    around: Floats = np.sqrt(((pixels - pixels.mean(axis=1, keepdims=True)) ** 2).mean(axis=(1, 2)))
    return around


def _similarity(left: Looks, right: Looks, i: Places, j: Places) -> npt.NDArray[np.float64]:
    from rapidfuzz.distance import Indel
    from rapidfuzz.process import cpdist

    if not len(i):
        return np.zeros(0)
    found = cpdist(
        [left.questions[row] for row in i.tolist()],
        [right.questions[row] for row in j.tolist()],
        scorer=Indel.normalized_similarity,
        score_cutoff=NEAR_TEXT,
        workers=os.cpu_count() or 1,
    )
    return np.asarray(found, np.float64)


def near_in_question(questions: Sequence[str], others: Sequence[str]) -> Flags:
    """Which of some questions are near any of the others, whatever the pictures; (n,)."""
    distinct = sorted(set(others))
    near = np.zeros(len(questions), np.bool_)
    for start in range(0, len(questions), ROWS):
        found = _similarities(questions[start : start + ROWS], distinct)
        near[start : start + ROWS] = (found >= NEAR_TEXT).any(axis=1)
    return near


def _near_questions(left: Looks, right: Looks, rows: Places, others: Places) -> Near:
    found = _similarities(
        [left.questions[row] for row in rows.tolist()],
        [right.questions[row] for row in others.tolist()],
    )
    i, j = np.nonzero(found >= NEAR_TEXT)
    similarity = found[i, j].astype(np.float64)
    return Near(rows[i], others[j], np.full(len(i), np.nan), similarity)


def _similarities(questions: Sequence[str], others: Sequence[str]) -> Floats:
    """Of each question with each of the others, (n, m); 0 below NEAR_TEXT."""
    from rapidfuzz.distance import Indel
    from rapidfuzz.process import cdist

    found: Floats = cdist(
        questions,
        others,
        scorer=Indel.normalized_similarity,
        score_cutoff=NEAR_TEXT,
        workers=os.cpu_count() or 1,
        dtype=np.float32,
    )
    return found
