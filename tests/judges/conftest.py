"""A neighbour for the judges: an engine that says what it is told to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from qibox.manifests.sampling import Sampling
from qibox.responses import split_reasoning
from qibox.tables import COMPLETIONS, POOL, PROMPTS

Reply = str | dict[str, Any]  # a text, or columns of COMPLETIONS


@dataclass
class PrescribedEngine:
    """Keeps the Engine protocol; ``reply`` makes each completion from the prompt's row."""

    reply: Callable[[dict[str, Any], Sampling], Reply]
    asked: list[dict[str, Any]] = field(default_factory=list)
    samplings: list[Sampling] = field(default_factory=list)
    closed: bool = False

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        assert prompts.schema.equals(PROMPTS)
        rows = []
        for prompt in prompts.to_pylist():
            self.asked.append(prompt)
            self.samplings.append(sampling)
            reply = self.reply(prompt, sampling)
            columns = {"text": reply, "finish_reason": "stop"} if isinstance(reply, str) else reply
            rows.append({"key": prompt["key"], "k": 0, "tokens": 1, **columns})
        return pa.Table.from_pylist(rows, schema=COMPLETIONS)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def engine() -> type[PrescribedEngine]:
    return PrescribedEngine


@pytest.fixture
def make_samples() -> Callable[..., pa.Table]:
    def make(*sample_ids: str, meta: str | None = None) -> pa.Table:
        rows = [
            {
                "sample_id": i,
                "question": f"question of {i}",
                "image": {"bytes": f"picture of {i}".encode(), "path": None},
                "meta": meta,
            }
            for i in sample_ids
        ]
        return pa.Table.from_pylist(rows, schema=POOL)

    return make


@pytest.fixture
def make_responses() -> Callable[..., pa.Table]:
    def make(*pairs: tuple[str, str]) -> pa.Table:
        text = pa.array([text for _, text in pairs], pa.string())
        reasoning, answer = split_reasoning(text)
        return pa.table(
            {
                "sample_id": pa.array([i for i, _ in pairs], pa.string()),
                "text": text,
                "reasoning": reasoning,
                "answer": answer,
            }
        )

    return make
