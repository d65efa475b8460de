"""Images become pixels here and nowhere else: bytes as published in, an upright RGB picture out.

Reads encoded bytes, writes nothing. Only raster formats are opened (no EPS or PDF, which start an
interpreter), and an image is refused by its declared size before a single pixel is decoded.
"""

import io
from functools import cache

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from qibox.errors import QiboxError
from qibox.manifests.pool import MAX_PIXELS

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
TURNED = (5, 6, 7, 8)  # EXIF orientations that lay a picture on its side
WHITE = (255, 255, 255, 255)  # what shows through transparent pixels, as on a page


class ImageError(QiboxError):
    """These bytes give no picture; the message says why, fit to stand as a row's reason."""


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image to RGB, 8 bits a channel, upright by its EXIF orientation.

    Of an animation the first frame; transparency over white; 16-bit grey scaled, not clipped.

    Raises:
        ImageError: no bytes, no known format, cut short or damaged, or declared larger than
            ``max_pixels``.
    """
    image = _open(_some(data))
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(too_large(width, height, max_pixels))
    try:
        image.load()
    except Exception as error:  # decoders raise whatever the damage provokes
        raise ImageError(f"image cannot be decoded: {_words(error)}") from error
    return _to_rgb(_upright(image))


def shrunk(image: Image.Image, max_pixels: int | None) -> Image.Image:
    """The picture, made smaller in its proportions where it has more pixels than that.

    A model's own limit may be far higher, and what a large photo costs in tokens is then more than
    its context holds.
    """
    width, height = image.size
    if max_pixels is None or width * height <= max_pixels:
        return image
    scale = (max_pixels / (width * height)) ** 0.5
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height that :func:`decode_image` gives a picture, by its header alone.

    Raises:
        ImageError: no bytes, no known format, or a damaged header.
    """
    image = _open(_some(data))
    width, height = image.size
    return (height, width) if _orientation(image) in TURNED else (width, height)


def too_large(width: int, height: int, max_pixels: int = MAX_PIXELS) -> str:
    """The reason for refusing an image by its declared size."""
    return f"image declares {width}x{height} pixels, more than the {max_pixels} allowed"


def _some(data: bytes) -> bytes:
    if not data:
        raise ImageError("image is empty (0 bytes)")
    return data


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=_formats())
    except Image.DecompressionBombError as error:
        raise ImageError(f"image declares too many pixels: {_words(error)}") from error
    except UnidentifiedImageError as error:
        raise ImageError("not an image in a known format, or its header is damaged") from error
    except Exception as error:  # a parser may raise whatever a hostile header provokes
        raise ImageError(f"image header cannot be read: {_words(error)}") from error


@cache
def _formats() -> tuple[str, ...]:
    return (*FORMATS, "AVIF") if features.check("avif") else FORMATS


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # a damaged EXIF block says nothing about the pixels: viewers ignore it too
        return 1


def _upright(image: Image.Image) -> Image.Image:
    return image if _orientation(image) == 1 else ImageOps.exif_transpose(image)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(np.asarray(image)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _scaled(pixels: "np.ndarray[tuple[int, int], np.dtype[np.generic]]") -> Image.Image:
    """Grey of more than 8 bits to 8: Pillow's own conversion clips everything above 255."""
    values = pixels.astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageError("image holds values that are not numbers")
    low, high = 0.0, 65535.0 if values.max() <= 65535 else 4294967295.0
    if pixels.dtype.kind == "f":  # no declared range: 0 to 1, or what is there spans black to white
        low, high = min(0.0, float(values.min())), max(1.0, float(values.max()))
    grey = np.clip((values - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)
    return Image.fromarray(grey, "L")


def _words(error: Exception) -> str:
    """An exception's message on one line, without the addresses that differ at each run."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(" <_io.", 1)[0][:200]
