"""Every kind of image a pool may hold becomes upright 8-bit RGB, or says why not."""

import io

import numpy as np
import pytest
from PIL import Image

from qibox.pool.images import ImageError, decode_image, shrunk
from tests.pool.making import picture, png_declaring


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def pixels_of(data: bytes) -> list[tuple[int, ...]]:
    image = decode_image(data)
    return [tuple(pixel) for pixel in np.asarray(image).reshape(-1, 3).tolist()]


NOISE = {
    form: encoded(Image.effect_noise((60, 60), 50).convert("RGB"), form) for form in ("PNG", "JPEG")
}


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_formats_keep_their_colour(form: str) -> None:
    image = decode_image(picture(0x102030, form))
    assert (image.mode, image.size) == ("RGB", (8, 6))
    assert image.getpixel((0, 0)) == (0x30, 0x20, 0x10)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    grey = Image.fromarray(np.array([[0, 32896, 65535]], dtype=np.uint16))
    pixels = pixels_of(encoded(grey, "PNG"))
    assert pixels == [(0, 0, 0), (128, 128, 128), (255, 255, 255)]  # 32896 = 128 · 257


def test_float_grey_spans_zero_to_one() -> None:
    grey = Image.fromarray(np.array([[0.0, 0.2, 1.0]], dtype=np.float32))
    pixels = pixels_of(encoded(grey, "TIFF"))
    assert pixels == [(0, 0, 0), (51, 51, 51), (255, 255, 255)]  # 0.2 · 255 = 51


def test_cmyk_becomes_the_colour_it_prints() -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    red, green, blue = decode_image(encoded(cyan, "JPEG", quality=100)).getpixel((8, 8))
    assert (red < 10, green > 245, blue > 245) == (True, True, True)


def test_palette_with_transparency_shows_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    pixels = pixels_of(encoded(image, "PNG", transparency=0))
    assert pixels == [(255, 255, 255), (200, 100, 50)]


def test_half_transparent_is_laid_over_white() -> None:
    image = Image.new("RGBA", (1, 1), (0, 0, 0, 51))
    assert decode_image(encoded(image, "PNG")).getpixel((0, 0)) == (204, 204, 204)  # 255 · 0.8


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(form: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], lossless=True)
    assert decode_image(data).getpixel((0, 0)) == (255, 0, 0)


def test_exif_rotation_is_applied() -> None:
    image = Image.new("RGB", (6, 4), (0, 0, 0))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: the upper left comes to the upper right
    upright = decode_image(encoded(image, "PNG", exif=exif))
    assert upright.size == (4, 6)
    assert upright.getpixel((3, 0)) == (255, 255, 255)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_leaves_the_picture_as_it_is() -> None:
    image = Image.new("RGB", (6, 4))
    assert decode_image(encoded(image, "JPEG", exif=b"Exif\0\0MM\0*junk")).size == (6, 4)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "image is empty (0 bytes)"),
        (b"<html>not found</html>", "not an image in a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image in a known format"),
        (NOISE["PNG"][:-200], "image cannot be decoded: image file is truncated"),
        (NOISE["JPEG"][:-200], "image cannot be decoded: image file is truncated"),
        (png_declaring(40_000, 40_000), "image declares"),
        (png_declaring(8_001, 8_000), "image declares 8001x8000 pixels, more than the 64000000"),
        (png_declaring(60_000, 60_000)[:50], "image declares"),
    ],
)
def test_what_is_no_picture_says_why(data: bytes, said: str) -> None:
    with pytest.raises(ImageError) as error:
        decode_image(data)
    assert str(error.value).startswith(said)


def test_a_bomb_is_refused_before_a_pixel_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", never)
    with pytest.raises(ImageError, match="declares 9000x9000 pixels"):
        decode_image(png_declaring(9_000, 9_000))


def test_a_reason_names_no_memory_address() -> None:
    with pytest.raises(ImageError) as error:
        decode_image(b"\x00" * 100)
    assert "0x" not in str(error.value)


@pytest.mark.parametrize(
    ("size", "limit", "small"),
    [
        ((4000, 3000), 1_003_520, (1156, 867)),  # 12 megapixels: 1,002,252 are left
        ((4000, 3000), None, (4000, 3000)),
        ((100, 50), 5000, (100, 50)),
        ((100, 50), 4999, (99, 49)),
        ((5000, 1), 50, (500, 1)),
    ],
)
def test_a_picture_over_the_limit_is_shrunk_in_its_proportions(
    size: tuple[int, int], limit: int | None, small: tuple[int, int]
) -> None:
    assert shrunk(Image.new("RGB", size), limit).size == small
