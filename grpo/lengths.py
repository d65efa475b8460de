"""Which of a selection's prompts are short enough to train on; the others are left out and told of.

Reads a selection's table (:data:`qibox.tables.SELECTION`) and counts what the policy will read: the
rendered chat, each picture at as many tokens as the processor makes of its size. Nothing is cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from qibox.engines.chat import Neutraliser
from qibox.errors import UsageError
from qibox.grpo.configuring import load_processor, policy_source
from qibox.grpo.conversation import NO_ARGUMENTS, inserted_turn
from qibox.grpo.data import asked_as, prompt_messages
from qibox.manifests.recipe import RecipeManifest
from qibox.pool.images import upright_size
from qibox.torchvision_ops import declare_missing_operators

Size = tuple[int, int]  # width and height

NAMED = 20  # samples that a lineage names


@dataclass(frozen=True)
class LeftOut:
    """The samples of a selection whose prompts are too long, and what too long was."""

    sample_ids: tuple[str, ...]
    samples: int  # of the selection
    limit: int  # tokens
    why: str  # what sets the limit
    longest: int  # tokens, of all prompts

    def __str__(self) -> str:
        return (
            f"{len(self.sample_ids):,} of {self.samples:,} samples left out: their prompts have "
            f"more than {self.limit:,} tokens ({self.why}; the longest has {self.longest:,})"
        )

    def lineage(self) -> dict[str, Any]:
        """As a policy's lineage tells it."""
        return {
            "samples": len(self.sample_ids),
            "limit": self.limit,
            "why": self.why,
            "longest": self.longest,
            "sample_ids": list(self.sample_ids[:NAMED]),
        }


def short_enough(
    selection: pa.Table, processor: Any, recipe: RecipeManifest, context: int | None
) -> tuple[pa.Table, LeftOut | None]:
    """Return the samples whose prompts may be trained on, and what was left out if anything was.

    Args:
        selection: the samples.
        processor: the start policy's, with the recipe's limits of pixels.
        recipe: its max_prompt_tokens, and how much is written after a prompt.
        context: tokens that the policy can read and write in all; None: unknown.

    Raises:
        UsageError: fewer samples are left than a step has prompts.
    """
    limit, why = _limit(processor, recipe, context)
    if limit is None:
        return selection, None
    lengths = prompt_lengths(selection, processor, recipe.template_arguments)
    fits = lengths <= limit
    if fits.all():
        return selection, None
    kept = selection.filter(pa.array(fits))
    out = selection.filter(pa.array(~fits))["sample_id"].to_pylist()
    found = LeftOut(tuple(out), len(selection), limit, why, int(lengths.max()))
    if len(kept) < recipe.prompts_per_step:
        raise UsageError(
            f"{found}; {len(kept)} remain, fewer than the recipe's prompts_per_step "
            f"{recipe.prompts_per_step}: allow longer prompts, or lower max_pixels"
        )
    return kept, found


def prompt_lengths(
    selection: pa.Table, processor: Any, arguments: Mapping[str, Any] = NO_ARGUMENTS
) -> npt.NDArray[np.int64]:
    """Tokens of each sample's prompt as the policy reads it, its pictures' included."""
    neutral = Neutraliser.of_tokenizer(processor.tokenizer)
    texts = [
        processor.apply_chat_template(
            prompt_messages(turns, neutral), add_generation_prompt=True, tokenize=False, **arguments
        )
        for turns in selection["prompt"].to_pylist()
    ]
    words = [len(ids) for ids in processor.tokenizer(texts)["input_ids"]]
    # a row at a time: its pictures' bytes are copied
    pictures = (row.as_py() or [] for row in selection["images"])
    sizes = [[upright_size(image["bytes"]) for image in images] for images in pictures]
    tokens = picture_tokens({size for row in sizes for size in row}, processor)
    # one token stands for each picture in the rendered text
    return np.array(
        [
            count + sum(tokens[size] - 1 for size in row)
            for count, row in zip(words, sizes, strict=True)
        ],
        np.int64,
    )


def picture_tokens(sizes: set[Size], processor: Any) -> dict[Size, int]:
    """Tokens that the processor makes of pictures of these widths and heights."""
    each = list(sizes)
    if hasattr(processor, "_get_num_multimodal_tokens"):  # what vLLM asks, too
        found = processor._get_num_multimodal_tokens(image_sizes=[(h, w) for w, h in each])
        return dict(zip(each, found["num_image_tokens"], strict=True))
    from PIL import Image

    made = [
        processor(text=[processor.image_token], images=[Image.new("RGB", size)]) for size in each
    ]
    return {size: len(one["input_ids"][0]) for size, one in zip(each, made, strict=True)}


def _limit(processor: Any, recipe: RecipeManifest, context: int | None) -> tuple[int | None, str]:
    """The most tokens that a prompt may have, and what says so."""
    limits: list[tuple[int, str]] = []
    if recipe.max_prompt_tokens is not None:
        limits.append((recipe.max_prompt_tokens, "max_prompt_tokens"))
    if context is not None:
        after = written_after(processor, recipe)
        window = min(context, recipe.vllm.max_model_len or context) if recipe.use_vllm else context
        limits.append(
            (max(0, window - after), f"{after:,} may follow, and {window:,} is all that is read")
        )
    return min(limits) if limits else (None, "")


def written_after(processor: Any, recipe: RecipeManifest) -> int:
    """The most tokens that may follow a prompt: all turns, and what is put between them."""
    how = recipe.rollout
    if how.unsafe != "reflect":
        return how.max_draft_tokens
    ends = [processor.tokenizer.eos_token_id]
    inserted = [
        # 1: the end of a turn that was cut off
        1 + len(inserted_turn(processor, text, ends, recipe.template_arguments))
        for text in (how.reflection_prompt, how.correction_prompt)
    ]
    return 2 * how.max_draft_tokens + how.max_reflection_tokens + sum(inserted)


def context_of(config: Any) -> int | None:
    """Tokens that a model of this configuration reads and writes in all; None: not said."""
    found: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return found


def left_out(table: pa.Table, recipe: RecipeManifest) -> LeftOut | None:
    """What a training would leave out, found without the policy's weights.

    Raises:
        UsageError: as :func:`short_enough`.
    """
    from transformers import AutoConfig

    declare_missing_operators()
    source, where = policy_source(recipe)
    config = AutoConfig.from_pretrained(source, **where)
    asked = asked_as(recipe, table)
    return short_enough(asked, load_processor(recipe), recipe, context_of(config))[1]
