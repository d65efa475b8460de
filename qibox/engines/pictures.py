"""Pictures of a call's prompts, decoded ahead of the model and once for prompts that share one."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from PIL import Image

from qibox.engines.dataurl import sendable
from qibox.pool.images import ImageError, decode_image, shrunk

THREADS = 4
AHEAD = 32  # pictures in memory that no prompt was made of yet

Picture = Image.Image | ImageError | None  # an error costs the prompts that have the picture


def pictures(rows: Sequence[Mapping[str, Any]], max_pixels: int | None) -> Iterator[Picture]:
    """The picture of each prompt, in order, at most ``max_pixels`` large; None without one.

    Neighbours with the same picture share one that was decoded.
    """
    with ThreadPoolExecutor(THREADS, "pictures") as pool:
        waiting: deque[Future[Picture]] = deque()
        last: tuple[bytes | None, Future[Picture]] | None = None
        for row in rows:
            data = (row["image"] or {}).get("bytes")
            if last is None or data is None or data != last[0]:
                last = (data, pool.submit(_picture, row["image"], max_pixels))
            waiting.append(last[1])
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _picture(image: dict[str, Any] | None, max_pixels: int | None) -> Picture:
    try:
        data = sendable(image)
        return None if data is None else shrunk(decode_image(data), max_pixels)
    except ImageError as error:
        return error
    except Exception as error:  # too little memory for this one, say
        return ImageError(f"image cannot be decoded: {error}")
