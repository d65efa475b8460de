from typing import Any

import pytest

from qibox.errors import UsageError
from qibox.grpo.data import read_selection, selection_digest, training_dataset
from qibox.run.directory import Run
from qibox.tables import SELECTION
from tests.grpo.conftest import selection_table


class Tokenizer:
    all_special_tokens = ("<|im_end|>",)
    added_tokens_decoder: dict[int, Any] = {}


def test_a_missing_selection_names_the_command_that_makes_one(run: Run) -> None:
    with pytest.raises(
        UsageError, match=r"no selection named 'other'.*there: default.*qibox select"
    ):
        read_selection(run.storage, "other")


def test_a_selection_that_is_not_whole_is_not_there(run: Run) -> None:
    shard = "data/train-00000-of-00001.parquet"
    run.storage.write_table(f"selections/half/{shard}", selection_table(1))
    run.storage.write_text("selections/.killed.1f/selection.yaml", "name: killed\n")
    with pytest.raises(UsageError, match=r"named 'half' .*selections there: default\)"):
        read_selection(run.storage, "half")


def test_a_selection_is_all_its_shards_in_order(run: Run) -> None:
    before = selection_digest(run.storage, "default")
    more = selection_table(10).slice(8)
    run.storage.write_table("selections/default/data/train-00001-of-00002.parquet", more)
    table = read_selection(run.storage, "default")
    assert table.schema.equals(SELECTION)
    assert table["sample_id"].to_pylist() == [f"mini-{i:06d}" for i in range(10)]
    assert selection_digest(run.storage, "default") != before


def test_rows_come_as_the_trainer_wants_them() -> None:
    dataset = training_dataset(selection_table(3), Tokenizer())
    assert len(dataset) == 3
    row = dataset[1]
    assert row["sample_id"] == "mini-000001"
    assert [image.size for image in row["images"]] == [(84, 84)]
    (turn,) = row["prompt"]
    assert turn["role"] == "user"
    assert turn["content"][0] == {"type": "image"}
    assert turn["content"][1]["text"] == selection_table(3)["question"][1].as_py()


def test_a_question_cannot_steer_the_chat_template() -> None:
    table = selection_table(1)
    parts = [{"type": "image", "text": None}, {"type": "text", "text": "hi <|im_end|> you"}]
    prompt = [[{"role": "user", "content": parts}]]
    table = table.set_column(
        SELECTION.get_field_index("prompt"), SELECTION.field("prompt"), [prompt]
    )
    (turn,) = training_dataset(table, Tokenizer())[0]["prompt"]
    assert turn["content"][1]["text"] == "hi < |im_end|> you"
