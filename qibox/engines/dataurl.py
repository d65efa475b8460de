"""Images as data URLs, in a form that every server reads the same way."""

import base64
import io
from typing import Any

from PIL import Image

from qibox.pool.images import ImageError, decode_image, shrunk

SENT_AS_IS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
ORIENTATION = 0x0112  # EXIF tag; 1 is upright


def sendable(image: dict[str, Any] | None) -> bytes | None:
    """A prompt's image as encoded bytes; None for a prompt without one.

    Raises:
        ImageError: the prompt has an image whose bytes were not read into it.
    """
    if image is None:
        return None
    if image["bytes"] is None:
        raise ImageError(f"image {image['path']!r} has no bytes: read it into the pool first")
    data: bytes = image["bytes"]
    return data


def image_url(image: dict[str, Any] | None, max_pixels: int | None = None) -> str | None:
    """A prompt's image as a data URL, at most ``max_pixels`` large; None for a prompt without one.

    The published bytes are sent where their meaning is plain. A picture that servers could decode
    differently (turned by EXIF, CMYK, 16 bits, transparent, animated, other formats) is sent as
    the PNG of what :func:`qibox.pool.images.decode_image` makes of it.

    Raises:
        ImageError: the bytes give no picture.
    """
    data = sendable(image)
    if data is None:
        return None
    picture = decode_image(data)
    small = shrunk(picture, max_pixels)
    kind = _plain_kind(data) if small is picture else None
    if kind is None:
        sink = io.BytesIO()
        small.save(sink, "PNG")
        data, kind = sink.getvalue(), "image/png"
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _plain_kind(data: bytes) -> str | None:
    with Image.open(io.BytesIO(data)) as opened:
        plain = (
            opened.mode in ("RGB", "L")
            and "transparency" not in opened.info
            and getattr(opened, "n_frames", 1) == 1
            and opened.getexif().get(ORIENTATION, 1) == 1
        )
        return SENT_AS_IS.get(opened.format or "") if plain else None
