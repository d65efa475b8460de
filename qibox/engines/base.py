"""How a model is run: the one protocol that every engine keeps.

An engine reads a table of prompts (:data:`qibox.tables.PROMPTS`) and returns completions
(:data:`qibox.tables.COMPLETIONS`): for each prompt, in order, K rows k = 0 … K−1, each with a text
or with the reason why there is none.
"""

from typing import Protocol

import pyarrow as pa

from qibox.manifests.sampling import Sampling


class Engine(Protocol):
    """Runs one model. ``generate`` never raises for one bad prompt: that prompt's rows say why."""

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        """Return ``sampling.samples`` completions for each prompt, in the prompts' order."""
        ...

    def close(self) -> None:
        """Free the model's memory and stop whatever was started for it."""
        ...
