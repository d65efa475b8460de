"""Sizes of a vision-language model, as far as the memory of its training depends on them.

Those of the shipped recipes' policies are known here, so that nothing need be downloaded to plan;
of any other model they are read from its configuration, where that is on this machine.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Shape:
    """A vision tower, a decoder of equal layers, and a vocabulary."""

    parameters: int  # all of them, shared ones once
    vision_parameters: int
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    tied: bool  # the output layer is the embedding
    vision_layers: int
    vision_hidden: int
    vision_intermediate: int
    patch: int = 14  # pixels along an edge
    patches_per_token: int = 4  # of a picture, merged into one token

    @property
    def linear(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of a decoder layer's linear layers."""
        wide, narrow = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "q_proj": (self.hidden, wide),
            "k_proj": (self.hidden, narrow),
            "v_proj": (self.hidden, narrow),
            "o_proj": (wide, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def layer_parameters(self) -> int:
        """Weights of one decoder layer's matrices."""
        return sum(inputs * outputs for inputs, outputs in self.linear.values())

    @property
    def embedding_parameters(self) -> int:
        """Weights of the embedding, and of the output layer where it is another."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def vision_linear(self) -> dict[str, tuple[int, int]]:
        """The same of a vision layer, whose names are partly a decoder layer's."""
        inside, between = self.vision_hidden, self.vision_intermediate
        return {
            "qkv": (inside, 3 * inside),
            "proj": (inside, inside),
            "gate_proj": (inside, between),
            "up_proj": (inside, between),
            "down_proj": (between, inside),
        }

    def adapter_parameters(self, rank: int, targets: Iterable[str] | None) -> int:
        """Weights of adapters, rank × (inputs + outputs) each.

        ``targets`` are last parts of names, wherever there are such layers; None: all of the
        decoder's.
        """
        ends = self.layers * _ends(self.linear, targets)
        if targets is not None:
            ends += self.vision_layers * _ends(self.vision_linear, targets)
        return rank * ends


def _ends(linear: Mapping[str, tuple[int, int]], targets: Iterable[str] | None) -> int:
    """Inputs and outputs together of the layers that are meant."""
    names = linear if targets is None else {name.rsplit(".", 1)[-1] for name in targets}
    return sum(sum(size) for name, size in linear.items() if name in names)


VISION = {"vision_layers": 32, "vision_hidden": 1280, "vision_intermediate": 3420}
KNOWN = {  # from the published configurations; a test counts the parameters
    "Qwen/Qwen2.5-VL-3B-Instruct": Shape(
        parameters=3_754_622_976,
        vision_parameters=668_684_288,
        layers=36,
        hidden=2048,
        intermediate=11_008,
        heads=16,
        kv_heads=2,
        head_size=128,
        vocabulary=151_936,
        tied=True,
        **VISION,
    ),
    "Qwen/Qwen2.5-VL-7B-Instruct": Shape(
        parameters=8_292_166_656,
        vision_parameters=676_550_144,
        layers=28,
        hidden=3584,
        intermediate=18_944,
        heads=28,
        kv_heads=4,
        head_size=128,
        vocabulary=152_064,
        tied=False,
        **VISION,
    ),
}


def policy_shape(source: str, directory: Path | None) -> Shape | None:
    """Return the sizes of a policy; None if its configuration is not on this machine."""
    if directory is not None:
        return shape_of(str(directory))
    if source in KNOWN:
        return KNOWN[source]
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source, "config.json")
    return shape_of(str(Path(found).parent)) if isinstance(found, str) else None


def shape_of(directory: str) -> Shape:
    """Read a configuration, and count the parameters of the model that it makes, without memory."""
    from qibox.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    config: Any = AutoConfig.from_pretrained(directory)
    text, vision = config.get_text_config(), config.vision_config
    with torch.device("meta"):
        model: Any = AutoModelForImageTextToText.from_config(config)
    model.tie_weights()
    decoder = {id(weight) for weight in model.get_decoder().parameters()}
    head = {id(weight) for weight in model.get_output_embeddings().parameters()}
    all_of_it = {id(weight): weight.numel() for weight in model.parameters()}
    return Shape(
        parameters=sum(all_of_it.values()),
        vision_parameters=sum(n for i, n in all_of_it.items() if i not in decoder | head),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        head_size=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        vocabulary=text.vocab_size,
        tied=head <= decoder,
        vision_layers=getattr(vision, "depth", None) or vision.num_hidden_layers,
        vision_hidden=vision.hidden_size,
        vision_intermediate=vision.intermediate_size,
        patch=vision.patch_size,
        patches_per_token=getattr(vision, "spatial_merge_size", 1) ** 2,
    )
