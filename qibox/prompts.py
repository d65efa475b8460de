"""What engines are given: the panel's template filled in, and the table of prompts."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from qibox.manifests.asking import QUESTION
from qibox.tables import PROMPTS


def fill_template(template: str, questions: pa.Array) -> pa.Array:
    """Put each question in every place of ``{question}``; braces in a question are only text."""
    before, *after = template.split(QUESTION)
    texts: pa.Array = pa.repeat(before, len(questions))
    for piece in after:
        texts = pc.binary_join_element_wise(texts, questions, piece, "")
    return texts


def make_prompts(keys: Any, system: str | None, text: Any, image: Any) -> pa.Table:
    """One row of :data:`qibox.tables.PROMPTS` for each key, from Arrow columns of equal length."""
    systems = pa.array([system] * len(keys), pa.string())
    return pa.table([keys, systems, text, image], schema=PROMPTS)
