"""The loop that writes tokens: one prefill for each prompt, K continuations from it.

Handed to ``model.generate`` as its ``custom_generate``, so that everything before the loop (masks,
positions, cache) is the library's own for every architecture. The stock loop would run the image
encoder and the prompt K times; here the cache is filled once for each prompt and then repeated.
Rows that have ended are dropped from the batch when half of them have.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qibox.engines.noise import choose

if TYPE_CHECKING:
    import torch


@dataclass
class DecodingPlan:
    """What each row of a batch needs besides the model's inputs; rows are prompt by prompt."""

    copies: int  # K
    keys: "torch.Tensor"  # (B·K,) int64, of each row's noise
    budgets: "torch.Tensor"  # (B·K,) tokens that each row may still write
    ends: "torch.Tensor"  # tokens that end a row
    temperature: float
    top_p: float
    progress: Callable[[], None]  # called once a step


@dataclass
class Written:
    """What the rows came to: token ids, the end token included, and whether it was reached."""

    tokens: list[list[int]]
    stopped: list[bool]


def write(
    model: Any,
    input_ids: "torch.Tensor",
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    plan: DecodingPlan,
    **model_kwargs: Any,
) -> Written:
    """Decode a batch; the signature is what ``custom_generate`` is called with."""
    import torch

    shared = _can_repeat(model_kwargs.get("past_key_values"))
    if not shared:  # state that cannot be repeated: fill it once for each row instead
        input_ids, model_kwargs = _expand(model, input_ids, plan.copies, model_kwargs)
    outputs = model._prefill(input_ids, generation_config, model_kwargs)
    model_kwargs = _after(model, outputs, model_kwargs)
    logits = outputs.logits[:, -1].float()
    if shared:
        model_kwargs["past_key_values"].batch_repeat_interleave(plan.copies)
        logits = logits.repeat_interleave(plan.copies, dim=0)
        input_ids, model_kwargs = _expand(model, input_ids, plan.copies, model_kwargs)
    del outputs

    rows = torch.arange(len(plan.keys), device=logits.device)  # of the batch, still being written
    alive = torch.ones_like(rows, dtype=torch.bool)
    table = torch.full((len(rows), int(plan.budgets.max())), -1, device=logits.device)
    stopped = torch.zeros_like(alive)
    for step in range(table.shape[1]):
        logits = logits_processor(input_ids, logits)
        tokens = choose(logits, plan.keys[rows], step, plan.temperature, plan.top_p)
        table[rows[alive], step] = tokens[alive]
        ended = alive & torch.isin(tokens, plan.ends)
        stopped[rows[ended]] = True
        alive = alive & ~ended & (plan.budgets[rows] > step + 1)
        plan.progress()
        left = int(alive.sum())
        if left == 0:
            break
        input_ids = torch.cat([input_ids, tokens[:, None]], dim=1)
        if left * 2 <= len(rows) and shared:
            keep = alive.nonzero().squeeze(1)
            input_ids, model_kwargs = _keep(input_ids, keep, model_kwargs)
            rows, alive = rows[keep], alive[keep]
        inputs = model.prepare_inputs_for_generation(
            input_ids, next_sequence_length=1 if model_kwargs["use_cache"] else None, **model_kwargs
        )
        outputs = model(**inputs, return_dict=True)
        model_kwargs = _after(model, outputs, model_kwargs)
        logits = outputs.logits[:, -1].float()
        del outputs
    return Written([[t for t in row if t >= 0] for row in table.tolist()], stopped.tolist())


def _can_repeat(cache: Any) -> bool:
    """Whether every layer of the cache can be repeated and cut along the batch."""
    layers = getattr(cache, "layers", None)
    if layers is None:
        return False
    return all(
        hasattr(layer, "batch_repeat_interleave") and hasattr(layer, "batch_select_indices")
        for layer in layers
    ) and hasattr(cache, "batch_repeat_interleave")


def _after(model: Any, outputs: Any, model_kwargs: dict[str, Any]) -> dict[str, Any]:
    updated: dict[str, Any] = model._update_model_kwargs_for_generation(
        outputs, model_kwargs, is_encoder_decoder=model.config.is_encoder_decoder
    )
    return updated


# Read by the prefill alone; after it they are dead weight that must not be repeated K times.
_IMAGES = (
    "pixel_values",
    "pixel_mask",
    "pixel_attention_mask",
    "image_grid_thw",
    "image_sizes",
    "image_patches",
    "image_patches_indices",
    "high_res_pixel_values",
    "num_local_patches",
)


def _expand(
    model: Any, input_ids: "torch.Tensor", copies: int, model_kwargs: dict[str, Any]
) -> tuple["torch.Tensor", dict[str, Any]]:
    cache = model_kwargs.pop("past_key_values", None)
    if cache is not None and cache.get_seq_length() > 0:
        for name in _IMAGES:
            model_kwargs.pop(name, None)
    input_ids, model_kwargs = model._expand_inputs_for_generation(
        expand_size=copies,
        is_encoder_decoder=model.config.is_encoder_decoder,
        input_ids=input_ids,
        **model_kwargs,
    )
    if cache is not None:
        model_kwargs["past_key_values"] = cache
    return input_ids, model_kwargs


def _keep(
    input_ids: "torch.Tensor", keep: "torch.Tensor", model_kwargs: dict[str, Any]
) -> tuple["torch.Tensor", dict[str, Any]]:
    """Keep some rows of everything that has a batch dimension."""
    import torch

    model_kwargs["past_key_values"].batch_select_indices(keep)
    kept = dict(model_kwargs)
    for name, value in model_kwargs.items():
        if not isinstance(value, torch.Tensor) or value.ndim == 0:
            continue
        if name == "position_ids" and value.ndim == 3:  # (axes, B, T) of multimodal positions
            kept[name] = value[:, keep]
        elif value.shape[0] == len(input_ids):
            kept[name] = value[keep]
    return input_ids[keep], kept
