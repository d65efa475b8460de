"""Turn prompts into chat messages that only the template, never a prompt's text, can steer.

A question is data: if it holds ``<|im_start|>system`` or an image placeholder, the model must read
those as characters. Tokenizers match such strings anywhere in a rendered template, so every
occurrence is broken by a space after its first character before the template sees it.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qibox.errors import UsageError

# Control tokens of common chat templates, for endpoints whose tokenizer is out of sight.
COMMON_CONTROL = re.compile(
    r"<\|[^|<>\s]{1,64}\|>"  # Qwen, Llama 3, Phi, GLM, …
    r"|</?s>|<(?:pad|unk|bos|eos|image|video|audio|mask)>"
    r"|</?(?:start_of_turn|end_of_turn|start_of_image|end_of_image|image_soft_token)>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS|IMG|IMG_BREAK|IMG_END)\]"
    r"|<</?SYS>>|</?(?:tool_call|tool_response|img|IMG_CONTEXT)>"
)


class Neutraliser:
    """Breaks control tokens in a text, and leaves any other text as it is."""

    def __init__(self, pattern: re.Pattern[str] | None) -> None:
        self._pattern = pattern

    @classmethod
    def common(cls) -> "Neutraliser":
        """For a model whose tokenizer cannot be asked."""
        return cls(COMMON_CONTROL)

    @classmethod
    def of_tokens(cls, tokens: Iterable[str]) -> "Neutraliser":
        """For a model whose control tokens are known."""
        # Longest first, so that a token that begins another one does not hide it.
        known = sorted({t for t in tokens if len(t.strip()) > 1}, key=lambda t: (-len(t), t))
        return cls(re.compile("|".join(map(re.escape, known))) if known else None)

    @classmethod
    def of_tokenizer(cls, tokenizer: Any) -> "Neutraliser":
        """For a transformers tokenizer: its special tokens, and added ones that look like markup.

        Added tokens that are words or white space steer nothing and stay whole.
        """
        tokens = {str(token) for token in tokenizer.all_special_tokens}
        for token in tokenizer.added_tokens_decoder.values():
            text = token.content.strip()
            if token.special or (text[:1] in "<[" and text[-1:] in ">]"):
                tokens.add(token.content)
        return cls.of_tokens(tokens)

    def __call__(self, text: str) -> str:
        """The text with every control token in it broken."""
        if self._pattern is None:
            return text
        text = self._break(text)
        # Some tokenizers normalise before they match: a full-width disguise must not survive that.
        plain = unicodedata.normalize("NFKC", text)
        return self._break(plain) if self._pattern.search(plain) else text

    def _break(self, text: str) -> str:
        assert self._pattern is not None
        while self._pattern.search(text):  # breaking one may uncover another that overlapped it
            text = self._pattern.sub(lambda found: _broken(found.group()), text)
        return text


def _broken(token: str) -> str:
    return f"{token[0]} {token[1:]}"


def messages(text: str, system: str | None, image: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The conversation of one prompt: system turn if any, then the image if any, then the text.

    ``image`` is the content part that stands for the picture, in the form that the engine wants.
    """
    turns: list[dict[str, Any]] = []
    if system is not None:
        turns.append({"role": "system", "content": [{"type": "text", "text": system}]})
    parts: list[dict[str, Any]] = [] if image is None else [image]
    turns.append({"role": "user", "content": [*parts, {"type": "text", "text": text}]})
    return turns


def template_text(template: str | None) -> str | None:
    """A chat template by its path, or as it is: what a run keeps is the text that was used.

    Raises:
        UsageError: no such file, or one that is no text.
    """
    if template is None or "{" in template:
        return template
    try:
        return Path(template).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"chat_template '{template}' cannot be read: {error}") from error
