"""A question as a conversational prompt, as TRL's trainers take it."""

from typing import Any

import numpy as np
import pyarrow as pa

from qibox.prompts import fill_template
from qibox.tables import MESSAGES


def prompts(
    questions: pa.Array, images: pa.Array, template: str, system: str | None = None
) -> pa.Array:
    """Return the turns of each question: the system's if any, then the user's.

    The latter has an image part where there is a picture, then the text.
    """
    texts = fill_template(template, questions)
    ends = np.cumsum(present(images) + 1)  # a sample's parts end with its text
    total = int(ends[-1]) if len(ends) else 0
    source = np.zeros(total, dtype=np.int64)
    is_text = np.zeros(total, dtype=bool)
    is_text[ends - 1] = True
    source[ends - 1] = np.arange(len(questions))
    text = texts.take(pa.array(source, mask=~is_text))
    kind = pa.array(np.where(is_text, "text", "image"), pa.string())
    parts = pa.StructArray.from_arrays([kind, text], names=["type", "text"])
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    content = pa.ListArray.from_arrays(offsets, parts)
    role = pa.array(["user"] * len(questions), pa.string())
    turns = pa.StructArray.from_arrays([role, content], names=["role", "content"])
    each = 1
    if system:
        said = [{"role": "system", "content": [{"type": "text", "text": system}]}]
        both = pa.concat_arrays([pa.array(said, turns.type), turns])
        places = np.stack([np.zeros(len(turns), int), np.arange(len(turns)) + 1], axis=1)
        turns, each = both.take(pa.array(places.ravel())), 2
    offsets = pa.array(np.arange(len(questions) + 1) * each, pa.int32())
    return pa.ListArray.from_arrays(offsets, turns).cast(MESSAGES)


def present(images: pa.Array) -> Any:
    """1 where there is a picture, else 0; (n,)."""
    return np.asarray(images.is_valid().to_numpy(zero_copy_only=False), dtype=np.int64)
