"""What is seen of an image without decoding it."""

import io

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qibox.pool import headers
from qibox.pool.headers import image_faults
from tests.pool.making import picture, png_declaring


def faults(*data: bytes | None) -> list[str | None]:
    found: list[str | None] = image_faults(pa.array(data, pa.binary())).to_pylist()
    return found


def variant(form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.effect_noise((90, 60), 50).convert("RGB")
    image.save(file, form, **options)
    return file.getvalue()


WHOLE = {
    "png": variant("PNG"),
    "jpeg": variant("JPEG"),
    "jpeg progressive": variant("JPEG", progressive=True),
    "jpeg with exif": variant("JPEG", exif=Image.Exif().tobytes() + bytes(5000)),
    "webp": variant("WEBP"),
    "webp lossless": variant("WEBP", lossless=True),
    "webp extended": variant("WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"),
    "gif": variant("GIF"),
    "bmp": variant("BMP"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_image_passes_undecoded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "decode_image", lambda *_: pytest.fail("decoded"))
    assert faults(WHOLE[name]) == [None]


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("limit", [90 * 60, 90 * 60 - 1])
def test_its_size_is_read_right(name: str, limit: int) -> None:
    said = image_faults(pa.array([WHOLE[name]]), max_pixels=limit).to_pylist()
    refused = f"image declares 90x60 pixels, more than the {limit} allowed"
    assert said == [None if limit == 5400 else refused]


@pytest.mark.parametrize("name", WHOLE)
def test_one_cut_short_is_caught(name: str) -> None:
    data = WHOLE[name]
    for length in (3, 20, len(data) // 2, len(data) - 40):
        assert faults(data[:length])[0] is not None, length


def test_bytes_after_the_end_are_no_fault() -> None:
    assert faults(WHOLE["png"] + b"\0" * 9, WHOLE["jpeg"] + b"trailer") == [None, None]


def test_a_format_without_a_known_head_is_decoded() -> None:
    assert faults(variant("TIFF"), variant("TIFF")[:-3000])[0] is None
    assert faults(variant("TIFF")[:-3000])[0] is not None


def test_a_bomb_is_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "decode_image", lambda *_: pytest.fail("decoded"))
    assert faults(png_declaring(70_000, 70_000)) == [
        "image declares 70000x70000 pixels, more than the 64000000 allowed"
    ]


def test_a_null_image_is_not_judged_here() -> None:
    assert faults(None, b"", picture()) == [None, "image is empty (0 bytes)", None]


def test_a_slice_of_a_column_is_judged_as_its_own() -> None:
    column = pa.array([b"", *WHOLE.values(), b"junk" * 30])
    inner = column.slice(1, len(WHOLE))
    assert image_faults(inner).to_pylist() == [None] * len(WHOLE)


@given(st.lists(st.one_of(st.none(), st.binary(max_size=90)), max_size=6), st.binary(max_size=80))
def test_any_bytes_get_an_answer_of_their_own(rows: list[bytes | None], tail: bytes) -> None:
    starts = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF....WEBP"]
    hostile = [*rows, *(start + tail for start in starts), picture(7)]
    together = faults(*hostile)
    assert together == [faults(row)[0] for row in hostile]
    assert together[-1] is None
