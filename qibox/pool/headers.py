"""Sees at reading speed which images cannot be right, from their first and last bytes alone.

PNG, JPEG, WEBP, GIF and BMP are recognised, measured and checked for a cut end by array operations
over a whole batch. What is in no way suspicious passes undecoded; anything else is decoded there
and then by :func:`qibox.pool.images.decode_image`, whose word is final. Caught here: no bytes, no
image, a declared size beyond the limit, an end cut off. Not caught here: damage in the middle of a
file; decoding for a model finds that, and it costs that sample alone.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from qibox.manifests.pool import MAX_PIXELS
from qibox.pool.buffers import Bytes, Offsets, bytes_and_offsets
from qibox.pool.images import ImageError, decode_image, too_large

HEAD = 32  # bytes looked at from the start
SHORTEST = 64  # no real picture is shorter; what is gets decoded
PNG_END = np.frombuffer(b"\0\0\0\0IEND\xaeB`\x82", np.uint8)
TELLS_SIZE, LAST = (np.zeros(256, dtype=bool) for _ in range(2))  # of a JPEG's markers
TELLS_SIZE[[m for m in range(0xC0, 0xD0) if m not in (0xC4, 0xC8, 0xCC)]] = True
LAST[[0xD9, 0xDA]] = True  # the picture's data, or its end: no size is told after them
MAX_SEGMENTS = 200  # of a JPEG before its size is told

Heads = npt.NDArray[np.int64]  # (rows, HEAD), of the rows of one format
Flags = npt.NDArray[np.bool_]


class Look:
    """What is known of a batch of images so far; all arrays run over its rows."""

    def __init__(self, data: Bytes, offsets: Offsets) -> None:
        self.data = data
        self.starts, self.ends = offsets[:-1], offsets[1:]
        rows = len(self.starts)
        self.width = np.zeros(rows, np.int64)
        self.height = np.zeros(rows, np.int64)
        self.whole = np.zeros(rows, dtype=bool)  # the end is where it should be
        self.length = self.ends - self.starts
        at = self.starts[:, None] + np.arange(HEAD)
        self.heads = (
            data[np.minimum(at, len(data) - 1)].astype(np.int64)
            if len(data)
            else np.zeros((rows, HEAD), np.int64)
        )

    def starting_with(self, magic: bytes, at: int = 0) -> npt.NDArray[np.int64]:
        """Rows of at least SHORTEST bytes with these bytes at this place."""
        same = (self.heads[:, at : at + len(magic)] == np.frombuffer(magic, np.uint8)).all(axis=1)
        return np.flatnonzero(same & (self.length >= SHORTEST))

    def set(
        self,
        rows: npt.NDArray[np.int64],
        width: npt.NDArray[np.int64],
        height: npt.NDArray[np.int64],
        whole: Flags,
    ) -> None:
        """Note the size and the end of some rows."""
        self.width[rows], self.height[rows], self.whole[rows] = width, height, whole

    def tail(self, rows: npt.NDArray[np.int64], count: int) -> Bytes:
        """The last bytes of some rows, (len(rows), count)."""
        return self.data[self.ends[rows, None] - count + np.arange(count)]


def image_faults(images: pa.Array, max_pixels: int = MAX_PIXELS) -> pa.Array:
    """Say of each image what is wrong with it: null where nothing is seen, and for a null image.

    ``images`` is a binary array; the answer a string array of its length.
    """
    look = Look(*bytes_and_offsets(images))
    there = np.asarray(images.is_valid())
    for measure in (_jpeg, _png, _webp, _gif, _bmp):
        measure(look)
        pixels = look.width * look.height
        doubtful = (~look.whole | (pixels <= 0) | (pixels > max_pixels)) & there
        if not doubtful.any():  # a pool's images are mostly of one format
            return pa.nulls(len(images), pa.string())
    faults: list[str | None] = [None] * len(images)
    for row in np.flatnonzero(doubtful).tolist():
        if look.whole[row] and pixels[row] > max_pixels:
            faults[row] = too_large(int(look.width[row]), int(look.height[row]), max_pixels)
        else:
            faults[row] = _decoding_fault(images[row].as_py(), max_pixels)
    return pa.array(faults, pa.string())


def _decoding_fault(data: bytes, max_pixels: int) -> str | None:
    try:
        decode_image(data, max_pixels)
    except ImageError as error:
        return str(error)
    return None


def _png(look: Look) -> None:
    rows = look.starting_with(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    head = look.heads[rows]
    whole = (look.tail(rows, len(PNG_END)) == PNG_END).all(axis=1)
    look.set(rows, _big(head, 16, 4), _big(head, 20, 4), whole)


def _gif(look: Look) -> None:
    for version in (b"GIF87a", b"GIF89a"):
        rows = look.starting_with(version)
        head = look.heads[rows]
        whole = look.tail(rows, 1)[:, 0] == 0x3B
        look.set(rows, _little(head, 6, 2), _little(head, 8, 2), whole)


def _bmp(look: Look) -> None:
    rows = look.starting_with(b"BM")
    head = look.heads[rows]
    height = _little(head, 22, 4)
    height = np.where(height >= 2**31, 2**32 - height, height)  # negative: rows from the top
    whole = (_little(head, 2, 4) == look.length[rows]) & (_little(head, 14, 4) >= 40)
    look.set(rows, _little(head, 18, 4), height, whole)


def _webp(look: Look) -> None:
    rows = look.starting_with(b"WEBP", at=8)
    rows = rows[(look.heads[rows, :4] == np.frombuffer(b"RIFF", np.uint8)).all(axis=1)]
    head = look.heads[rows]
    whole = _little(head, 4, 4) + 8 <= look.length[rows]
    lossy = _little(head, 26, 2) & 0x3FFF, _little(head, 28, 2) & 0x3FFF
    bits = _little(head, 21, 4)
    lossless = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    extended = _little(head, 24, 3) + 1, _little(head, 27, 3) + 1
    kind = head[:, 15]
    kinds = [kind == ord(" "), kind == ord("L"), kind == ord("X")]
    width = np.select(kinds, [lossy[0], lossless[0], extended[0]], 0)
    height = np.select(kinds, [lossy[1], lossless[1], extended[1]], 0)
    look.set(rows, width, height, whole)


def _jpeg(look: Look) -> None:
    """Walk all JPEGs' segments in step, each until the one that tells its size (SOFn)."""
    rows = look.starting_with(b"\xff\xd8\xff")
    ending = look.tail(rows, 2)
    look.whole[rows] = (ending[:, 0] == 0xFF) & (ending[:, 1] == 0xD9)
    at = look.starts[rows] + 2
    for _ in range(MAX_SEGMENTS):
        inside = at + 9 < look.ends[rows]
        rows, at = rows[inside], at[inside]
        if not len(rows):
            return
        segment = look.data[at[:, None] + np.arange(9)].astype(np.int64)
        marker = segment[:, 1]
        size = TELLS_SIZE[marker]
        told = rows[size]
        look.height[told], look.width[told] = _big(segment, 5, 2)[size], _big(segment, 7, 2)[size]
        further = ~size & (segment[:, 0] == 0xFF) & ~LAST[marker]
        step = np.where(
            marker == 0xFF, 1, 2 + _big(segment, 2, 2)
        )  # 0xFF before a marker is filler
        rows, at = rows[further], (at + step)[further]


def _big(table: Heads, at: int, count: int) -> npt.NDArray[np.int64]:
    """Unsigned big-endian number of ``count`` bytes in each row."""
    return _number(table, range(at, at + count))


def _little(table: Heads, at: int, count: int) -> npt.NDArray[np.int64]:
    """Unsigned little-endian number of ``count`` bytes in each row."""
    return _number(table, range(at + count - 1, at - 1, -1))


def _number(table: Heads, places: range) -> npt.NDArray[np.int64]:
    value = np.zeros(len(table), np.int64)
    for place in places:
        value = value * 256 + table[:, place]
    return value
