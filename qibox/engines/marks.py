"""Read a model's tokens as text: without special tokens, but for the marks that tell its reasoning.

Decoders leave special tokens out, and with them the marks of some models: all that was thought
would then stand in the answer.
"""

from collections.abc import Callable, Sequence
from typing import Any


def keeping(tokenizer: Any, marks: Sequence[str]) -> Callable[[Sequence[int]], str] | None:
    """How to read tokens so that these marks stay; None where the usual way leaves them in.

    ``tokenizer`` is a transformers one. A mark that is no special token is left in as it is.
    """
    added = tokenizer.added_tokens_decoder
    special = {i: token.content for i, token in added.items() if token.special}
    if not set(special.values()) & set(marks):
        return None
    left_out = {i for i, content in special.items() if content not in marks}

    def read(tokens: Sequence[int]) -> str:
        kept = [int(token) for token in tokens if int(token) not in left_out]
        return str(
            tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        )

    return read
