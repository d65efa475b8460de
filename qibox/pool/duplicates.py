"""Which rows were seen before: sets of 128-bit hashes that stay small over millions of rows.

A row's content is its question and its image's bytes; equal content is the same sample. The hash is
XXH3-128: not a cryptographic one, so it guards against chance (1e-24 over 10 million rows), while
whoever forges a collision only makes their own row count as a duplicate.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from qibox.pool.buffers import pieces, spans

HASH = np.dtype("S16")  # numpy sorts these ten times faster than pairs of integers

Hashes = npt.NDArray[np.bytes_]  # (n,), HASH
Flags = npt.NDArray[np.bool_]  # (n,)


class SeenHashes:
    """A growing set of hashes, 16 bytes each, held in sorted runs that double in size."""

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def add(self, hashes: Hashes) -> None:
        """Add hashes, in any order; those already there change nothing."""
        unique = np.unique(hashes)
        self.add_new(unique[~self.holds(unique)])

    def holds(self, hashes: Hashes) -> Flags:
        """Which of these hashes have been added."""
        found = np.zeros(len(hashes), dtype=bool)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            found |= run[at] == hashes
        return found

    def add_new(self, run: Hashes) -> None:
        """Add hashes that are sorted, each once, and not there yet."""
        if not len(run):
            return
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]))
        self._runs.append(run)


def text_hashes(texts: pa.Array) -> Hashes:
    """Hash of each string; a null counts as empty."""
    digest = xxhash.xxh3_128_digest
    return _packed([digest(piece) for piece in pieces(texts)])


def content_hashes(questions: pa.Array, images: pa.Array) -> Hashes:
    """Hash of each row's question and image bytes; an absent image differs from an empty one."""
    digest = xxhash.xxh3_128_digest
    heads = [digest(image) for image in spans(images)]
    for row in np.flatnonzero(images.is_null()).tolist():
        heads[row] = b"-"
    rows = zip(heads, pieces(questions), strict=True)
    return _packed([digest(head + question) for head, question in rows])


def hexadecimal(hashes: Hashes) -> pa.Array:
    """The hashes as 32 hexadecimal digits each."""
    ends = np.arange(0, 32 * len(hashes) + 1, 32, dtype=np.int32)
    digits = hashes.tobytes().hex().encode()
    return pa.StringArray.from_buffers(len(hashes), pa.py_buffer(ends), pa.py_buffer(digits))


def _packed(digests: list[bytes]) -> Hashes:
    return np.frombuffer(b"".join(digests), dtype=HASH)
