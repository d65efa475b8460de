"""Tokens that stand for pictures: which they are, and that nothing gives them any probability."""

from pathlib import Path
from typing import Any

import pytest

from qibox.grpo.vision_tokens import forbid, vision_tokens, vllm_bias


@pytest.fixture
def model(policy: Path) -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(policy)


def test_the_configuration_names_them(model: Any) -> None:
    """Start and end of a picture, a patch of it, a patch of a film; never what ends a turn."""
    assert vision_tokens(model.config, ends=[3]) == [4, 5, 6, 7]
    assert vision_tokens(model.config, ends=[3, 5]) == [4, 6, 7]
    assert vllm_bias([4, 6]) == {4: -100.0, 6: -100.0}


def test_forbidden_tokens_have_no_probability_and_the_rest_keeps_its_proportions(
    model: Any, tmp_path: Path
) -> None:
    import torch

    ids = torch.arange(20, 40)[None]
    before = model(input_ids=ids).logits.softmax(dim=-1)
    saved = set(model.state_dict())
    forbid(model, [4, 6])
    after = model(input_ids=ids).logits.softmax(dim=-1)
    assert (after[..., [4, 6]] == 0).all()
    left = before.clone()
    left[..., [4, 6]] = 0
    assert torch.allclose(after, left / left.sum(dim=-1, keepdim=True), atol=1e-6)
    assert set(model.state_dict()) == saved
    model.save_pretrained(tmp_path)
    assert not any(name == "lm_head.bias" for name, _ in model.named_parameters())
    again = type(model).from_pretrained(tmp_path)
    assert torch.allclose(again(input_ids=ids).logits.softmax(dim=-1), before, atol=1e-6)
