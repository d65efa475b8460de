"""A selection as training data: a dataset whose rows TRL can use.

Reads a selection's table (:data:`qibox.tables.SELECTION`).
"""

from typing import Any

import pyarrow as pa

from qibox.engines.chat import Neutraliser
from qibox.pool.images import decode_image


def training_dataset(selection: pa.Table, tokenizer: Any) -> Any:
    """Return a datasets.Dataset of prompt, images, sample_id and risk.

    Pictures are decoded when a row is asked for, so memory holds them only as they are stored.
    Texts of a prompt cannot steer the chat template: its control tokens are broken in them, as the
    engines do.
    """
    from datasets import Dataset

    neutral = Neutraliser.of_tokenizer(tokenizer)

    def load(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        rows = selection.select(["sample_id", "risk", "prompt", "images"]).take(batch["row"])
        values: dict[str, list[Any]] = rows.to_pydict()
        values["prompt"] = [prompt_messages(turns, neutral) for turns in values["prompt"]]
        values["images"] = [
            [decode_image(image["bytes"]) for image in images or []] for images in values["images"]
        ]
        return values

    return Dataset.from_dict({"row": list(range(len(selection)))}).with_transform(load)


def prompt_messages(turns: list[dict[str, Any]], neutral: Neutraliser) -> list[dict[str, Any]]:
    """A selection's prompt as chat messages, with the template's control tokens broken in it.

    A system turn is a manifest's, and may name the marks that reasoning is to stand between.
    """
    return [
        {
            "role": turn["role"],
            "content": [
                {
                    "type": "text",
                    "text": part["text"] if turn["role"] == "system" else neutral(part["text"]),
                }
                if part["type"] == "text"
                else {"type": part["type"]}
                for part in turn["content"]
            ],
        }
        for turn in turns
    ]
