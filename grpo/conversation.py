"""Turns of one conversation as token ids: what the policy wrote, and what is put in between.

The policy's tokens are never decoded and encoded again: log probabilities belong to the very ids
that were drawn. Only the inserted turns are rendered, by the chat template, apart from the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from qibox.errors import QiboxError

NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Drawn:
    """Tokens that the policy drew, its end token included if it came to one."""

    ids: list[int]
    logprobs: list[float] | None = None  # where the generator knows them; None: TRL recomputes


def inserted_turn(
    processor: Any, text: str, end_ids: Sequence[int], arguments: Mapping[str, Any] = NO_ARGUMENTS
) -> list[int]:
    """Token ids from the end of an assistant turn to the start of the next one.

    In between lies the user's ``text``, as the processor's chat template renders it when it is told
    the ``arguments``. The end token itself is not part of it.

    Raises:
        QiboxError: the template renders earlier turns differently once a turn is added, so that
            turns cannot be appended.
    """
    said = [_turn("user", "."), _turn("assistant", ".")]
    before = _render(processor, said, False, arguments)
    after = _render(processor, [*said, _turn("user", text)], True, arguments)
    ends = [place for place, token in enumerate(before) if token in end_ids]
    # Many templates put a line break after the end token; the policy stops at the end token itself.
    if ends:
        before = before[: ends[-1] + 1]
    if after[: len(before)] != before:
        raise QiboxError(
            "the policy's chat template rewrites earlier turns when one is added, so a reflection "
            "cannot be appended: train with plain rollouts, or use a template that keeps them",
            fields=["rollout=plain"],
        )
    return after[len(before) :]


def closing(written: Drawn, end_ids: Sequence[int]) -> list[int]:
    """Return the end token where the policy was cut off before it came to one, else nothing."""
    return [] if written.ids and written.ids[-1] in end_ids else [end_ids[0]]


def _turn(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _render(
    processor: Any, turns: list[dict[str, Any]], generate: bool, arguments: Mapping[str, Any]
) -> list[int]:
    ids = processor.apply_chat_template(
        turns, add_generation_prompt=generate, tokenize=True, return_dict=False, **arguments
    )
    nested = ids and isinstance(ids[0], list)  # processors batch, tokenizers do not
    return list(ids[0] if nested else ids)
