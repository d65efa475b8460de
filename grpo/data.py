"""A selection as training data: the table itself, and a dataset whose rows TRL can use.

Reads RUN/selections/<name>/data/train-*.parquet (:data:`qibox.tables.SELECTION`).
"""

import hashlib
from typing import Any

import pyarrow as pa

from qibox.catalog import selection_names
from qibox.engines.chat import Neutraliser
from qibox.errors import UsageError
from qibox.pool.images import decode_image
from qibox.run.storage import Storage
from qibox.tables import SELECTION


def selection_files(storage: Storage, name: str) -> list[str]:
    """Names of a selection's shards, in order.

    Raises:
        UsageError: there is no such selection, or none that is whole.
    """
    made = selection_names(storage)
    if name not in made:
        there = f"selections there: {', '.join(made)}" if made else "it has no selection yet"
        raise UsageError(
            f"no selection named '{name}' in run {storage.url} ({there}): "
            f"`qibox select {storage.url} --name {name}` makes one"
        )
    files = storage.files(f"selections/{name}/data")
    return [file for file in files if file.endswith(".parquet")]


def read_selection(storage: Storage, name: str) -> pa.Table:
    """Read a selection's rows, with the columns of :data:`qibox.tables.SELECTION`."""
    tables = [
        storage.read_table(file, columns=SELECTION.names) for file in selection_files(storage, name)
    ]
    return pa.concat_tables([table.cast(SELECTION) for table in tables])


def selection_digest(storage: Storage, name: str) -> str:
    """Return the sha256 of a selection's shards, in hex."""
    digest = hashlib.sha256()
    for file in selection_files(storage, name):
        with storage.reading(file) as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


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
        values["prompt"] = [_messages(turns, neutral) for turns in values["prompt"]]
        values["images"] = [
            [decode_image(image["bytes"]) for image in images or []] for images in values["images"]
        ]
        return values

    return Dataset.from_dict({"row": list(range(len(selection)))}).with_transform(load)


def _messages(turns: list[dict[str, Any]], neutral: Neutraliser) -> list[dict[str, Any]]:
    return [
        {
            "role": turn["role"],
            "content": [
                {"type": "text", "text": neutral(part["text"])}
                if part["type"] == "text"
                else {"type": part["type"]}
                for part in turn["content"]
            ],
        }
        for turn in turns
    ]
