from pathlib import Path
from typing import Any

import pytest

from qibox.errors import QiboxError
from qibox.grpo.conversation import Drawn, closing, inserted_turn


@pytest.fixture(scope="module")
def processor(policy: Path) -> Any:
    from transformers import AutoProcessor

    loader: Any = AutoProcessor
    return loader.from_pretrained(policy)


def test_an_inserted_turn_runs_from_the_end_token_to_the_next_answer(processor: Any) -> None:
    tokenizer = processor.tokenizer
    ids = inserted_turn(processor, "answer again , safely .", [tokenizer.eos_token_id])
    # The template writes <|im_end|> itself, then a user turn, then opens the assistant's.
    assert tokenizer.convert_ids_to_tokens(ids) == [
        *("<|im_start|>", "user", "answer", "again", ",", "safely", ".", "<|im_end|>"),
        *("<|im_start|>", "assistant"),
    ]


def test_appending_turns_gives_what_the_template_renders_whole(processor: Any) -> None:
    tokenizer = processor.tokenizer
    end = tokenizer.eos_token_id

    def turn(role: str, text: str) -> dict[str, Any]:
        return {"role": role, "content": [{"type": "text", "text": text}]}

    def render(turns: list[dict[str, Any]]) -> list[int]:
        ids = processor.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return list(ids[0])

    first = [turn("user", "can the dog eat what is here ?")]
    draft = tokenizer("yes , the dog can eat this .", add_special_tokens=False)["input_ids"]
    whole = render(
        [*first, turn("assistant", "yes , the dog can eat this ."), turn("user", "why ?")]
    )
    assert render(first) + draft + [end] + inserted_turn(processor, "why ?", [end]) == whole


class RewritingTemplate:
    """Renders an assistant's turn only while it is the last one, as some reasoning models do."""

    def apply_chat_template(self, turns: list[dict[str, Any]], **_: Any) -> list[int]:
        return [len(turns), *range(10, 10 + len(turns))]


def test_a_template_that_rewrites_earlier_turns_is_refused() -> None:
    with pytest.raises(QiboxError, match=r"rewrites earlier turns.*train with plain rollouts"):
        inserted_turn(RewritingTemplate(), "why ?", [99])


def test_a_turn_that_was_cut_off_is_closed() -> None:
    assert closing(Drawn([5, 6]), [9, 8]) == [9]
    assert closing(Drawn([5, 9]), [9, 8]) == []
    assert closing(Drawn([5, 8]), [9, 8]) == []  # any end token will do
