"""A picture's signature: itself, shrunk to 12 × 12 pixels of three colours, each a byte.

Two pictures are near when their signatures differ by at most :data:`NEAR` (root of the mean square,
a colour from 0 to 1), and by less than :data:`CONTRAST` of how much a signature differs from its
own mean: pages of text on white are all alike otherwise, and those of much the same words in the
same places still are. Re-encoding and resizing hardly change a
signature; cutting the rim does, so whoever compares has one of the whole picture and of the picture
without 1 % and without 2 % of each side (:data:`CROPS`).

A perceptual hash of 64 bits (dhash, phash) was tried first: on drawn scenes two thirds of unrelated
pictures lie as near as a re-encoded one.
"""

import io
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from qibox.pool.buffers import spans

if TYPE_CHECKING:
    from PIL import Image

SIDE = 12
SIZE = SIDE * SIDE * 3  # bytes of a signature
NEAR = 0.04
CONTRAST = 0.35
CROPS = (0.0, 0.01, 0.02)  # of each side, cut off

Signatures = npt.NDArray[np.uint8]  # (n, crops, SIZE)
Flags = npt.NDArray[np.bool_]


def signatures(images: pa.Array, crops: Sequence[float] = (0.0,)) -> tuple[Signatures, Flags]:
    """Signatures of pictures as files' bytes, and which rows have one; absent or broken do not."""
    with ThreadPoolExecutor(os.cpu_count()) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the pool's limit on pixels was kept when it was read
        found = list(pool.map(lambda content: _signature(content, crops), spans(images)))
    there = np.array([each is not None for each in found], np.bool_)
    empty = bytes(SIZE * len(crops))
    joined = b"".join(each or empty for each in found)
    return np.frombuffer(joined, np.uint8).reshape(len(found), len(crops), SIZE), there


def digests(images: pa.Array) -> pa.Array:
    """XXH3-128 of each picture's bytes; null where there is none."""
    hashed = [xxhash.xxh3_128_digest(content) for content in spans(images)]
    return pa.array(hashed, pa.binary(16), mask=np.asarray(images.is_null()))


def _signature(content: memoryview, crops: Sequence[float]) -> bytes | None:
    from PIL import Image

    if not len(content):
        return None
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.draft("RGB", (4 * SIDE, 4 * SIDE))  # a JPEG is decoded no finer than needed
            plain = _on_white(picture)
            return b"".join(_shrunk(plain, crop) for crop in crops)
    except Exception:  # whatever a broken file makes the decoder raise
        return None


def _on_white(picture: "Image.Image") -> "Image.Image":
    """The picture in RGB; what is transparent is white."""
    from PIL import Image

    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        ground = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(ground, clear).convert("RGB")
    return picture.convert("RGB")


def _shrunk(picture: "Image.Image", crop: float) -> bytes:
    from PIL import Image

    width, height = picture.size
    rim = (width * crop, height * crop, width * (1 - crop), height * (1 - crop))
    return picture.resize((SIDE, SIDE), Image.Resampling.BOX, box=rim).tobytes()


def bytes_of(values: pa.Array) -> Signatures:
    """Signatures out of a column of fixed-size binaries without nulls: (n, crops, SIZE)."""
    width = values.type.byte_width
    data = values.buffers()[1]
    flat = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    start = values.offset * width
    return flat[start : start + len(values) * width].reshape(len(values), width // SIZE, SIZE)


def as_column(found: Signatures, there: Flags) -> pa.Array:
    """Signatures as a column of fixed-size binaries, null where there is none."""
    kind = pa.binary(found.shape[1] * SIZE)
    buffer = pa.py_buffer(np.ascontiguousarray(found).tobytes())
    whole = pa.FixedSizeBinaryArray.from_buffers(kind, len(found), [None, buffer])
    return pc.if_else(pa.array(there), whole, pa.scalar(None, kind))
