"""Variants of a picture: cut at the rim, lighter or darker, encoded again.

At most :data:`CUT` of each side goes, brightness changes by at most :data:`LIGHT`, and the result
is a JPEG of a quality from :data:`QUALITY`. All is drawn from (seed, sample_id, number) alone.
"""

import hashlib
import io

import PIL
from PIL import ImageEnhance

from qibox.pool.images import ImageError, decode_image

CUT = 0.05  # of width or height, each side
LIGHT = 0.15  # of 1
QUALITY = (70, 95)
STEPS = 1000  # that each number is drawn in


def picture_variant(content: bytes, seed: int, sample_id: str, number: int) -> bytes | None:
    """The picture's variant of that number as JPEG; None where it cannot be decoded."""
    try:
        picture = decode_image(content)
    except ImageError:
        return None
    drawn = hashlib.sha256(f"{seed}:{sample_id}:{number}".encode()).digest()
    share = [
        int.from_bytes(drawn[at : at + 4], "big") % (STEPS + 1) / STEPS for at in range(0, 24, 4)
    ]
    left, upper, right, lower, light, quality = share
    width, height = picture.size
    rim = (
        round(width * CUT * left),
        round(height * CUT * upper),
        width - round(width * CUT * right),
        height - round(height * CUT * lower),
    )
    lit = ImageEnhance.Brightness(picture.crop(rim)).enhance(1 + LIGHT * (2 * light - 1))
    low, high = QUALITY
    made = io.BytesIO()
    lit.save(made, "JPEG", quality=low + round((high - low) * quality))
    return made.getvalue()


def pillow() -> str:
    """The version of what makes them: another may encode otherwise."""
    return PIL.__version__
