"""Tokens that stand for pictures are never written: neither sampled nor weighed in the loss.

A policy that writes the token of an image patch makes a conversation with more patches than
pictures have, on which its own forward pass fails. So the output layer gets a bias that takes such
tokens out of every distribution: of sampling, of the loss, of the reference model. Where vLLM
samples it is told the same, and so the log probabilities of both are of one distribution.
"""

import re
from typing import Any

NEVER = -1e4  # added to a logit: its probability is 0 in float32, bfloat16 and float16
VLLM_NEVER = -100.0  # the least that vLLM takes
OF_PICTURES = re.compile(r"(image|video|vision|audio)\w*_token_(id|index)$")


def vision_tokens(config: Any, ends: list[int]) -> list[int]:
    """Ids of the tokens that a model's configuration names for pictures, films or sound, sorted.

    Those that end a turn are not among them, whatever they are called.
    """
    named = {**vars(config.get_text_config()), **vars(config)}
    found = {
        value for name, value in named.items() if OF_PICTURES.match(name) and type(value) is int
    }
    return sorted(found - set(ends))


def forbid(model: Any, tokens: list[int]) -> None:
    """Take tokens out of what a model's output layer gives.

    The bias is not saved with the model, nor does it learn; an output layer that has a bias of its
    own keeps the change.
    """
    import torch

    head = model.get_output_embeddings()
    if head.bias is None:
        bias = torch.zeros(head.out_features, dtype=head.weight.dtype, device=head.weight.device)
        del head.bias
        head.register_buffer("bias", bias, persistent=False)
        model.register_forward_pre_hook(lambda *_: _like_sharded(head))
    head.bias.data[tokens] = NEVER


def _like_sharded(head: Any) -> None:
    """Where weights are sharded, TRL gathers the output layer's bias with them; ours is whole."""
    whole = head.bias
    whole.full_tensor = lambda: whole


def vllm_bias(tokens: list[int]) -> dict[int, float]:
    """The same for vLLM, as its ``logit_bias``."""
    return dict.fromkeys(tokens, VLLM_NEVER)
