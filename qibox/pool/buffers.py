"""Arrow strings and binaries as what they are in memory: one run of bytes and where each starts."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


def bytes_and_offsets(values: pa.Array) -> tuple[Bytes, Offsets]:
    """All bytes of a string or binary array and its n + 1 offsets into them; nothing is copied."""
    wide = values.type in (pa.large_string(), pa.large_binary())
    _, offsets, data = values.buffers()
    if offsets is None or not len(values):
        return np.zeros(0, np.uint8), np.zeros(len(values) + 1, np.int64)
    kind = np.int64 if wide else np.int32
    first = values.offset
    where = np.frombuffer(offsets, kind)[first : first + len(values) + 1].astype(np.int64)
    return np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8), where


def spans(values: pa.Array) -> list[memoryview]:
    """Each value's bytes, as views; a null's are empty."""
    data, offsets = bytes_and_offsets(values)
    view = data.data
    return [view[start:end] for start, end in pairwise(offsets.tolist())]


def pieces(values: pa.Array) -> list[bytes]:
    """Each value's bytes, copied: for short ones that is quicker than a view."""
    data, offsets = bytes_and_offsets(values)
    text = data[offsets[0] : offsets[-1]].tobytes()  # of a slice, not of all that it was cut from
    return [text[start:end] for start, end in pairwise((offsets - offsets[0]).tolist())]
