"""A picture's variants: near it, the same each time, unlike each other."""

import io

import numpy as np
import pyarrow as pa
from PIL import Image

from qibox.augment.pictures import CUT, LIGHT, picture_variant
from qibox.likeness.signature import signatures
from qibox.mini.pool import iter_samples


def test_a_variant_keeps_to_its_limits_and_is_drawn_from_its_names_alone() -> None:
    flat = io.BytesIO()
    Image.new("RGB", (200, 100), (100, 100, 100)).save(flat, "PNG")
    made = [picture_variant(flat.getvalue(), 0, "a", number) for number in range(1, 40)]
    sizes, lights = [], []
    for content in made:
        assert content is not None
        picture = Image.open(io.BytesIO(content))
        assert picture.format == "JPEG"
        sizes.append(picture.size)
        lights.append(np.asarray(picture).mean() / 100)
    assert all(
        200 * (1 - 2 * CUT) <= w <= 200 and 100 * (1 - 2 * CUT) <= h <= 100 for w, h in sizes
    )
    assert all(1 - LIGHT - 0.02 <= light <= 1 + LIGHT + 0.02 for light in lights)
    assert len(set(sizes)) > 10
    assert min(lights) < 1 - LIGHT / 2
    assert max(lights) > 1 + LIGHT / 2
    assert picture_variant(flat.getvalue(), 0, "a", 1) == made[0]
    others = [
        picture_variant(flat.getvalue(), 1, "a", 1),
        picture_variant(flat.getvalue(), 0, "b", 1),
    ]
    assert made[0] not in others
    assert picture_variant(b"no picture", 0, "a", 1) is None


def test_it_still_looks_like_its_picture() -> None:
    for sample in iter_samples("train", 5, 0):
        content = sample["image"]["bytes"]
        variant = picture_variant(content, 0, sample["sample_id"], 1)
        found, _ = signatures(pa.array([content, variant], pa.binary()))
        one, other = found[:, 0].astype(float) / 255
        assert np.sqrt(((one - other) ** 2).mean()) < 0.15  # unrelated ones: about .3
