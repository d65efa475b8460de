import base64
import io
from typing import Any

import pytest
from PIL import Image
from tinymodel import png

from qibox.engines import pictures as module
from qibox.engines.dataurl import image_url
from qibox.engines.pictures import AHEAD, pictures
from qibox.pool.images import ImageError


def row(data: bytes | None) -> dict[str, Any]:
    return {"image": None if data is None else {"bytes": data, "path": None}}


def test_pictures_come_in_order_and_neighbours_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    real = module.decode_image
    monkeypatch.setattr(module, "decode_image", lambda data: decoded.append(data) or real(data))
    red, blue = png((255, 0, 0)), png((0, 0, 255), (80, 40))
    found = list(pictures([row(d) for d in (red, red, None, blue, blue, b"x", red)], 1600))
    assert len(decoded) == 4  # red, blue, what is no picture, and red again
    assert found[0] is found[1]
    assert found[2] is None
    assert found[3].size == (56, 28)  # 1,568 pixels of 3,200
    assert isinstance(found[5], ImageError)
    assert found[6].getpixel((0, 0)) == (255, 0, 0)


def test_no_more_are_decoded_ahead_than_memory_is_meant_to_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    rows = ({"image": None, "number": asked.append(i)} for i in range(10 * AHEAD))
    found = pictures(rows, None)  # type: ignore[arg-type]  # it is read one by one
    next(found)
    assert len(asked) == AHEAD + 1
    found.close()


def test_a_large_picture_is_sent_small_and_a_small_one_as_published() -> None:
    small, large = png((1, 2, 3), (40, 20)), png((1, 2, 3), (400, 300))
    assert base64.b64decode(sent(small).partition(",")[2]) == small
    made = Image.open(io.BytesIO(base64.b64decode(sent(large).partition(",")[2])))
    assert (made.format, made.size) == ("PNG", (36, 27))


def sent(data: bytes) -> str:
    """The address under which an endpoint is given a picture of at most 1,000 pixels."""
    url = image_url({"bytes": data, "path": None}, 1000)
    assert url is not None
    return url
