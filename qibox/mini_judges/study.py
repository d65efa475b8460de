"""How much a small judge is taught; free of torch, so that a plan may name it."""

from typing import NamedTuple


class Study(NamedTuple):
    """How much of everything there is."""

    steps: int | None = None  # of each term; None: its own
    asked: int = 600  # scenes that each model answers twice
    tokenized: int = 3000  # papers that the tokenizer is trained on
