"""The small judges' architecture: the panel's, deeper, since a judge compares three texts."""

from dataclasses import dataclass

import torch
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from qibox.mini.train.architecture import build_config as panel_config
from qibox.mini_judges.tokens import MAX_LENGTH

HEAD = 32  # width of a head; its 16 rotation pairs are divided as in the panel's models


@dataclass(frozen=True)
class Size:
    """What two judges differ in, besides scenes and seed."""

    hidden: int
    layers: int
    inner: int  # of the feed-forward network
    vocabulary: int


def build_config(tokenizer: PreTrainedTokenizerFast, size: Size) -> Qwen2_5_VLConfig:
    """The panel's configuration, of another size."""
    config = panel_config(tokenizer).to_dict()
    heads = size.hidden // HEAD
    text = config["text_config"] | {
        "hidden_size": size.hidden,
        "intermediate_size": size.inner,
        "num_hidden_layers": size.layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 2 if heads % 2 == 0 else heads,
        "max_position_embeddings": MAX_LENGTH,
        "layer_types": None,
    }
    vision = config["vision_config"] | {"out_hidden_size": size.hidden}
    return Qwen2_5_VLConfig(**{**config, "text_config": text, "vision_config": vision})


def build_model(
    tokenizer: PreTrainedTokenizerFast, size: Size, seed: int
) -> Qwen2_5_VLForConditionalGeneration:
    """An untrained model, in float32."""
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(build_config(tokenizer, size))
    model.generation_config = GenerationConfig(
        eos_token_id=model.config.text_config.eos_token_id,
        pad_token_id=model.config.text_config.pad_token_id,
        do_sample=False,
    )
    return model.float()
