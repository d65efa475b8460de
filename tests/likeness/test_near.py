"""What counts as near: pictures re-encoded, resized and cut against others, questions as typed."""

import io
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from qibox.likeness.near import Looks, near_pairs, plain
from qibox.likeness.signature import CROPS, signatures
from qibox.mini.pool import iter_samples

Change = Callable[[Image.Image], Image.Image]


def encoded(picture: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def cut(picture: Image.Image, share: float) -> Image.Image:
    width, height = picture.size
    return picture.crop(
        (
            round(width * share),
            round(height * share),
            width - round(width * share),
            height - round(height * share),
        )
    )


def photo(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """A picture with light, shade and texture at all scales, as photographs have them."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for scale in (2, 4, 8, 16, 32):
        cells = rng.normal(0, 60 / scale**0.7, (scale, scale, 3)) + 0.0
        layer = [
            Image.fromarray(cells[:, :, c].astype(np.float32)).resize(
                size, Image.Resampling.BICUBIC
            )
            for c in range(3)
        ]
        total += np.stack([np.asarray(each) for each in layer], axis=-1)
    return Image.fromarray(np.clip(total * 1.5 + 128, 0, 255).astype(np.uint8))


def page(text: str) -> Image.Image:
    """Words on white, as typographic attacks are."""
    picture = Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(picture).multiline_text((20, 20), text, fill="black")
    return picture


CHANGES: dict[str, Change] = {
    "re-encoded": lambda p: Image.open(io.BytesIO(encoded(p, "JPEG", quality=50))),
    "half as large": lambda p: p.resize((p.width // 2, p.height // 2)),
    "enlarged": lambda p: p.resize((p.width * 2, p.height * 2), Image.Resampling.BICUBIC),
    "2 % cut off each side": lambda p: cut(p, 0.02),
    "all of it": lambda p: Image.open(
        io.BytesIO(encoded(cut(p, 0.02).resize((170, 130)), "JPEG", quality=70))
    ),
}


@pytest.fixture(scope="module")
def drawn() -> list[tuple[bytes, str]]:
    """Picture and question of 300 samples to train on and 300 held out."""
    return [
        (sample["image"]["bytes"], sample["question"])
        for split in ("train", "heldout")
        for sample in iter_samples(split, 300)
    ]


def looked(pictures: list[bytes | None], questions: list[str], crops: int = 1) -> Looks:
    found, seen = signatures(pa.array(pictures, pa.binary()), CROPS[:crops])
    blank = np.array([picture is None for picture in pictures], np.bool_)
    return Looks([plain(question) for question in questions], found, seen, blank)


def pairs(left: Looks, right: Looks) -> set[tuple[int, int]]:
    """Pairs near in picture and question."""
    return {
        (int(i), int(j))
        for near in near_pairs(left, right)
        for i, j in zip(near.left[near.both], near.right[near.both], strict=True)
    }


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_near_its_picture(change: str, drawn: list[tuple[bytes, str]]) -> None:
    scenes = [Image.open(io.BytesIO(content)).convert("RGB") for content, _ in drawn[:60]]
    pictures = [*scenes, *(photo(seed) for seed in range(40))]
    changed = [encoded(CHANGES[change](picture)) for picture in pictures]
    questions = [f"question {i:03d} {i * 7919:06d}" for i in range(len(pictures))]
    left = looked([*changed], questions)
    right = looked([encoded(picture) for picture in pictures], questions, crops=3)
    assert {(i, i) for i in range(len(pictures))} <= pairs(left, right)


def test_unrelated_pairs_give_no_alarm(drawn: list[tuple[bytes, str]]) -> None:
    """90,000 pairs of the miniature world, whose sets of objects never agree; and 780 photos."""
    pool = looked([c for c, _ in drawn[:300]], [q for _, q in drawn[:300]])
    held = looked([c for c, _ in drawn[300:]], [q for _, q in drawn[300:]], crops=3)
    assert len(pairs(pool, held)) <= 90  # 0.1 %
    assert pairs(pool, held) == set()
    photos: list[bytes | None] = [encoded(photo(seed)) for seed in range(40)]
    same = looked(photos, ["what is this ?"] * 40)
    assert pairs(same, same) == {(i, i) for i in range(40)}


def test_pages_of_text_are_not_all_alike_for_being_white() -> None:
    texts = ["Steps to make a cake.\n1.\n2.\n3.", "No", "\n".join(["A list of many things"] * 9)]
    pages = [page(text) for text in texts]
    question = "The image shows a list. Fill it in."
    left = looked([encoded(p, "JPEG", quality=80) for p in pages], [question] * 3)
    right = looked([encoded(p) for p in pages], [question] * 3, crops=3)
    assert pairs(left, right) == {(0, 0), (1, 1), (2, 2)}


@pytest.mark.parametrize(
    ("question", "near"),
    [
        ("May I leave a candle here?", True),
        ("  may i LEAVE a\tcandle   here ?!", True),
        ("May I leave the candle here?", True),
        ("ＭＡＹ Ｉ leave a candle here?", True),
        ("May I leave a child here?", False),
        ("", False),
    ],
)
def test_questions_are_compared_without_case_space_and_punctuation(
    question: str, near: bool
) -> None:
    one = [encoded(photo(0))]
    left, right = looked([*one], [question]), looked([*one], ["May I leave a candle here?"])
    assert pairs(left, right) == ({(0, 0)} if near else set())


def test_without_pictures_the_questions_decide_and_a_picture_is_not_none() -> None:
    left = looked([None, None, encoded(photo(0))], ["how so ?", "what now ?", "how so ?"])
    right = looked([None], ["How so?"], crops=3)
    assert pairs(left, right) == {(0, 0)}


def test_a_broken_or_transparent_picture_is_no_accident() -> None:
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    found, seen = signatures(pa.array([b"no picture", encoded(clear), None], pa.binary()))
    assert seen.tolist() == [False, True, False]
    assert (found[1] == 255).all()  # what is transparent is white


def test_every_pair_is_found_that_a_plain_loop_finds(drawn: list[tuple[bytes, str]]) -> None:
    """The product of matrices leaves none out: all pairs, one by one, by the definition."""
    rng = np.random.default_rng(0)
    found, _ = signatures(pa.array([c for c, _ in drawn[:120]], pa.binary()))
    noisy = np.clip(found[:, 0] + rng.normal(0, 6, found[:, 0].shape), 0, 255).astype(np.uint8)
    blank, seen = np.zeros(120, np.bool_), np.ones(120, np.bool_)
    left = Looks(["same"] * 120, noisy[:, None], seen, blank)
    right = Looks(["same"] * 120, found, seen, blank)
    a, b = noisy.astype(float) / 255, found[:, 0].astype(float) / 255
    apart = np.sqrt(((a[:, None] - b[None]) ** 2).mean(axis=2))
    contrast = [
        np.sqrt(
            ((x.reshape(120, -1, 3) - x.reshape(120, -1, 3).mean(1, keepdims=True)) ** 2).mean(
                (1, 2)
            )
        )
        for x in (a, b)
    ]
    limit = np.minimum(0.04, 0.35 * np.minimum(contrast[0][:, None], contrast[1][None]))
    expected = {(int(i), int(j)) for i, j in zip(*np.nonzero(apart <= limit), strict=True)}
    assert len(expected) >= 120
    assert pairs(left, right) == expected
