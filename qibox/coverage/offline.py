"""What samples look like without a model: a question's letters and a picture's colours.

A question, in lower case, is its runs of four bytes of UTF-8, each weighed by how rare it is among
all runs (minus the log of its share, in 16ths) and hashed into :data:`TEXT` numbers with a sign of
its own (Weinberger et al., ICML 2009). A picture is its signature
(:mod:`qibox.likeness.signature`) in blocks of 3 × 3 pixels, less their mean over all pictures. Both
count the same; a sample without a picture has zeros there. Of 159,000 questions in about 2 s of
one core, so none of it is kept but the signatures.
"""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qibox.coverage.vectors import LENGTH, Floats, whole
from qibox.likeness.signature import SIDE, SIZE, bytes_of
from qibox.pool.buffers import bytes_and_offsets

TEXT = 144
BLOCK = 3  # pixels a side
RUN = 4  # bytes
BITS = 18
BUCKETS = 1 << BITS  # that runs are told apart by
STEPS = 16  # of a weight
ROWS = 2048  # at once
_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint32(0x9E3779B1)

Places = npt.NDArray[np.int32]


def offline(questions: pa.Array, signatures: pa.Array) -> Floats:
    """Vectors (n, 192) of samples, by row; a signature is null where there is no picture."""
    half = LENGTH / math.sqrt(2)
    parts = [whole(_text(questions), half), whole(_picture(signatures), half)]
    return np.concatenate(parts, axis=1)


def _text(questions: pa.Array) -> Floats:
    """(n, TEXT), whole numbers."""
    parts = list(_runs(questions))
    found = np.zeros(BUCKETS, np.int64)  # of each bucket, its runs in all questions
    for _, buckets in parts:
        found += np.bincount(buckets, minlength=BUCKETS)
    weight = np.rint(STEPS * np.log(max(found.sum(), 1) / np.maximum(found, 1)))
    mixed = np.arange(1, BUCKETS + 1, dtype=np.uint64) * _ODD
    place = ((mixed >> np.uint64(32)) % np.uint64(TEXT)).astype(np.int32)
    weight[(mixed >> np.uint64(20)) & np.uint64(1) == 1] *= -1
    made = np.zeros((len(questions), TEXT), np.float32)
    for number, (rows, buckets) in enumerate(parts):
        part = made[number * ROWS : (number + 1) * ROWS]
        where = rows * np.int32(TEXT) + place[buckets]
        part += np.bincount(where, weight[buckets], minlength=part.size).reshape(part.shape)
    return made


def _runs(questions: pa.Array) -> Iterator[tuple[Places, Places]]:
    """For so many questions at a time: each run's row among them, and its bucket."""
    lower = pc.utf8_lower(pc.fill_null(questions, ""))
    for start in range(0, len(lower), ROWS):
        data, offsets = bytes_and_offsets(lower.slice(start, ROWS))
        text = data[offsets[0] : offsets[-1]].astype(np.uint32)
        row = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
        count = max(len(text) - RUN + 1, 0)
        code = np.zeros(count, np.uint32)  # the run's four bytes
        for at in range(RUN):
            code = (code << np.uint32(8)) | text[at : at + count]
        bucket = ((code * _MIX) >> np.uint32(32 - BITS)).astype(np.int32)
        inside = row[:count] == row[len(row) - count :]  # it ends in the question it begins in
        yield row[:count][inside], bucket[inside]


def _picture(signatures: pa.Array) -> npt.NDArray[np.float64]:
    """(n, 48), sums of blocks less their mean over all pictures."""
    side = SIDE // BLOCK
    made = np.zeros((len(signatures), side * side * 3))
    there = np.asarray(signatures.is_valid())
    known = bytes_of(signatures.drop_null()).reshape(-1, SIZE)
    if len(known):
        blocks = known.reshape(len(known), side, BLOCK, side, BLOCK, 3).sum(axis=(2, 4), dtype=int)
        flat = blocks.reshape(len(known), -1)
        made[there] = flat - np.rint(flat.sum(axis=0) / len(flat))
    return made
