"""Turns drawn from the policy that is being trained, by TRL's own generation.

Transformers or vLLM, as TRL's configuration says. Written against TRL 1.16; the underscored methods
used here are checked by tests.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from accelerate.utils import gather_object
from trl.trainer.grpo_trainer import GRPOTrainer

from qibox.errors import QiboxError
from qibox.grpo.conversation import Drawn
from qibox.grpo.credit import Array


class PolicyWriter:
    """Draws turns from the policy that is being trained, for one batch of prompts."""

    def __init__(
        self,
        trainer: GRPOTrainer,
        prompts: list[Any],
        stand_in: Any,
        reading: Callable[[Sequence[int]], str] | None = None,
    ) -> None:
        """``reading`` makes text of tokens where marks of reasoning are special tokens."""
        self._reading = reading
        self._trainer: Any = trainer  # TRL's methods carry no types
        self._prompts = prompts
        self.end_ids: Sequence[int] = turn_ends(trainer)
        self._stand_in = stand_in  # a prompt to go along with where there is nothing to write
        self._read: tuple[list[int], Any] = ([], None)  # rows, what the processor made of them last
        self.prompt_ids: list[list[int]] = []
        if prompts:
            self.prompt_ids = self._tokenized(list(range(len(prompts))))[0]

    def text(self, ids: Sequence[int]) -> str:
        """Token ids as text, without special tokens but for the marks of reasoning."""
        if self._reading is not None:
            return self._reading(ids).strip()
        return str(self._trainer._tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def gather(self, values: Array) -> tuple[Array, slice]:
        """Return (N, …) values of all processes for (B, …) of this one, and where its own lie.

        B may differ between processes.
        """
        index = self._trainer.accelerator.process_index
        parts = [np.array(part, float) for part in gather_object([values.tolist()])]
        first = sum(len(part) for part in parts[:index])
        everyone = np.concatenate([part.reshape(-1, *values.shape[1:]) for part in parts])
        return everyone, slice(first, first + len(values))

    def write(self, rows: list[int], so_far: list[list[int]], max_tokens: int) -> list[Drawn]:
        """Go on from the prompts of these rows and what has followed each of them so far."""
        if not rows:  # other processes write, and draw each token together with this one
            self._draw(self._trainer._tokenize_prompts([self._stand_in]), [[]], max_tokens)
            return []
        return self._draw(self._tokenized(rows), so_far, max_tokens)

    def _tokenized(self, rows: list[int]) -> Any:
        """What the processor makes of these rows' prompts; drafts and corrections ask twice."""
        if rows != self._read[0]:
            prompts = [self._prompts[row] for row in rows]
            self._read = (rows, self._trainer._tokenize_prompts(prompts))
        return self._read[1]

    def _draw(self, tokenized: Any, so_far: list[list[int]], max_tokens: int) -> list[Drawn]:
        trainer = self._trainer
        ids, images, fields = tokenized
        contexts = [prompt + more for prompt, more in zip(ids, so_far, strict=True)]
        if trainer.use_vllm:
            return self._write_with_vllm(contexts, images, max_tokens)
        trainer.generation_config.max_new_tokens = max_tokens
        trainer.generation_kwargs["max_new_tokens"] = max_tokens
        drawn, _ = trainer._generate_single_turn(
            contexts, images, _lengthened(fields, ids, so_far), num_generations=1
        )
        return [Drawn(list(tokens)) for tokens in drawn]

    def _write_with_vllm(
        self, contexts: list[list[int]], images: list[Any] | None, max_tokens: int
    ) -> list[Drawn]:
        """Go on with vLLM, which must see each image once.

        TRL's prompts hold one token a patch of the image. vLLM 0.31 expands the first of them once
        more (9 tokens became 17), so each run is sent as one token, and what vLLM made of it is
        checked (TRL issue 6294).

        Raises:
            QiboxError: vLLM read another prompt than the loss will.
        """
        trainer = self._trainer
        if trainer.state.global_step != trainer._last_loaded_step:
            trainer.vllm_generation.sync_weights()
            trainer._last_loaded_step = trainer.state.global_step
        vllm = trainer.vllm_generation
        vllm.max_completion_length = max_tokens
        token = trainer._image_pad_token_id
        read, drawn, logprobs, _ = vllm.generate(
            prompts=[collapsed(ids, token) for ids in contexts], images=images, num_generations=1
        )
        if [list(ids) for ids in read] != contexts:
            raise QiboxError(
                "vLLM expanded a prompt's images otherwise than the policy's processor did, so its "
                "log probabilities would be of another prompt: set use_vllm: false in the recipe"
            )
        return [
            Drawn(list(tokens), [float("nan") if lp[0] is None else lp[0] for lp in each])
            for tokens, each in zip(drawn, logprobs, strict=True)
        ]


def collapsed(ids: list[int], token: int | None) -> list[int]:
    """Replace each run of a token by one of it."""
    return [
        each
        for place, each in enumerate(ids)
        if each != token or place == 0 or ids[place - 1] != token
    ]


def turn_ends(trainer: Any) -> list[int]:
    """Tokens that end a turn, the tokenizer's own one first."""
    usual = trainer._tokenizer.eos_token_id
    return [usual, *[token for token in trainer.eos_token_ids if token != usual]]


def _lengthened(
    fields: dict[str, Any], prompt_ids: list[list[int]], more: list[list[int]]
) -> dict[str, Any]:
    """Extend what the processor gives for each prompt token (token types) over later turns: text.

    Raises:
        QiboxError: a field has neither one value a token nor one entry an image.
    """
    lengths = [len(ids) for ids in prompt_ids]
    extended = {}
    for name, value in fields.items():
        if name.endswith("token_type_ids"):
            rows = [list(row) for row in value]
            if [len(row) for row in rows] != lengths:
                raise QiboxError(f"the processor's {name} has other lengths than its input_ids")
            value = [row + [0] * len(ids) for row, ids in zip(rows, more, strict=True)]
        extended[name] = value
    return extended
