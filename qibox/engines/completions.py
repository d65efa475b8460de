"""Build completions tables: K rows for each prompt, in the prompts' order, none left out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from qibox.tables import COMPLETIONS

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)\]]+", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w.…/])/(?:[^\s/'\":;,()]+/)+([^\s/'\":;,()]*)")
MAX_REASON = 300  # characters; a library's message can be pages long


@dataclass(frozen=True)
class Completion:
    """One completion: a text with how it ended, or the reason why there is none."""

    text: str | None = None
    finish_reason: str | None = None  # stop | length
    tokens: int | None = None  # generated, the end token included
    reason: str | None = None


def completed(text: str, finish_reason: str, tokens: int | None) -> Completion:
    """A completion that is there.

    White space around it is left out: decoders that see the prompt put a space before the first
    word, others do not, and one answer must be one text whatever engine wrote it. Half a
    surrogate pair, which JSON can hold and UTF-8 cannot, becomes a question mark.
    """
    return Completion(
        text.strip().encode("utf-8", "replace").decode("utf-8"), finish_reason, tokens
    )


def failure(reason: str) -> Completion:
    """A completion that is not there, and why, on one line of bounded length.

    Reasons are written into runs, which are passed on: addresses and absolute paths, which tell of
    the machine and not of the failure, are left out.
    """
    line = _PATH.sub(r"…/\1", _URL.sub("<address>", " ".join(reason.split())))
    return Completion(reason=line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…")


def explain(error: BaseException) -> str:
    """An exception as a reason: its type and message."""
    message = str(error).strip()
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def assemble(keys: Sequence[str], completions: Sequence[Sequence[Completion]]) -> pa.Table:
    """The table of completions; ``completions[i]`` are the K ones of ``keys[i]``, k = 0 … K−1."""
    rows = [c for group in completions for c in group]
    columns = {
        "key": [key for key, group in zip(keys, completions, strict=True) for _ in group],
        "k": [k for group in completions for k in range(len(group))],
        "text": [c.text for c in rows],
        "finish_reason": [c.finish_reason for c in rows],
        "tokens": [c.tokens for c in rows],
        "reason": [c.reason for c in rows],
    }
    return pa.table(columns, schema=COMPLETIONS)


def failures(keys: Sequence[str], samples: int, reason: str) -> pa.Table:
    """The table that says, for each of ``keys``, why none of its K completions is there."""
    return assemble(keys, [[failure(reason)] * samples for _ in keys])
