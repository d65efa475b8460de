from typing import Any

import pyarrow as pa

from qibox.engines.chat import Neutraliser
from qibox.grpo.data import asked_as, prompt_messages, training_dataset
from qibox.manifests import RecipeManifest, load_manifest
from qibox.tables import SELECTION
from tests.grpo.conftest import selection_table


class Tokenizer:
    all_special_tokens = ("<|im_end|>",)
    added_tokens_decoder: dict[int, Any] = {}


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


def test_a_system_turn_is_the_manifests_own_and_stays_as_it_is() -> None:
    said = {"role": "system", "content": [{"type": "text", "text": "Think in <|im_end|>."}]}
    assert prompt_messages([said], Neutraliser.of_tokens(["<|im_end|>"])) == [said]


def recipe(**fields: Any) -> RecipeManifest:
    mini = load_manifest(RecipeManifest, "mini")
    return RecipeManifest.model_validate({**mini.model_dump(), **fields})


def roles_and_words(table: pa.Table) -> list[tuple[str, str]]:
    return [
        (turn["role"], part["text"])
        for row in table["prompt"].to_pylist()
        for turn in row
        for part in turn["content"]
        if part["type"] == "text"
    ]


def test_a_recipe_says_how_to_ask_or_leaves_it_to_the_selections_panel() -> None:
    table = selection_table(1)
    question = table["question"][0].as_py()
    assert asked_as(recipe(), table) is table
    thinking = asked_as(recipe(system="Think."), table)
    assert roles_and_words(thinking) == [("system", "Think."), ("user", question)]
    own = asked_as(recipe(prompt="Look: {question}"), thinking)
    assert roles_and_words(own) == [("system", "Think."), ("user", f"Look: {question}")]
    assert own["prompt"][0].as_py()[1]["content"][0]["type"] == "image"
    assert roles_and_words(asked_as(recipe(system=""), own)) == [("user", f"Look: {question}")]
    assert thinking.schema.equals(table.schema)
