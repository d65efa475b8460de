"""A selection as training data: a dataset whose rows TRL can use.

Reads a selection's table (:data:`qibox.tables.SELECTION`).
"""

from typing import Any

import pyarrow as pa

from qibox.engines.chat import Neutraliser
from qibox.manifests.recipe import RecipeManifest
from qibox.pool.images import decode_image
from qibox.selection.prompting import prompts
from qibox.selection.read import first_images
from qibox.tables import SELECTION


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


def asked_as(recipe: RecipeManifest, selection: pa.Table) -> pa.Table:
    """A selection with prompts as the recipe says to ask, where it says anything.

    What it leaves open is asked as the selection's panel was: its system text stays, or its prompt.
    """
    if (recipe.system is None and recipe.prompt is None) or not len(selection):
        return selection
    turns = selection["prompt"].to_pylist()
    if recipe.prompt is not None:
        questions = selection["question"].combine_chunks()
        images = first_images(selection["images"])
        own = prompts(questions, images, recipe.prompt).to_pylist()
        turns = [before[:-1] + asked for before, asked in zip(turns, own, strict=True)]
    if recipe.system is not None:
        said = {"role": "system", "content": [{"type": "text", "text": recipe.system}]}
        head = [said] if recipe.system else []
        turns = [head + [turn for turn in row if turn["role"] != "system"] for row in turns]
    at = SELECTION.get_field_index("prompt")
    made = pa.array(turns, SELECTION.field(at).type)
    return selection.set_column(at, SELECTION.field(at), made)


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
