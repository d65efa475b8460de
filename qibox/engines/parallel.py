"""Several copies of one engine side by side, each with a part of every batch."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from qibox.engines.base import Engine
from qibox.engines.completions import failures
from qibox.manifests.sampling import Sampling


class ParallelEngine:
    """Divides prompts among engines that run the same model, each on devices of its own."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = engines

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        """Complete the prompts in contiguous parts; noise is keyed, so the parts do not matter."""
        if not len(prompts):
            return failures([], sampling.samples, "")
        size = -(-len(prompts) // len(self._engines))
        parts = [prompts.slice(start, size) for start in range(0, len(prompts), size)]
        with ThreadPoolExecutor(len(parts)) as pool:
            tables = pool.map(
                lambda pair: pair[0].generate(pair[1], sampling),
                zip(self._engines, parts, strict=False),
            )
            return pa.concat_tables(tables)

    def close(self) -> None:
        """Close every copy."""
        for engine in self._engines:
            engine.close()
