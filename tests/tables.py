"""Small tables as judges are given them."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from qibox.responses import split_reasoning
from qibox.tables import SAMPLES


def pool_of(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Samples with the pool's columns."""
    return pa.Table.from_pylist([{n: r[n] for n in SAMPLES.names} for r in rows], schema=SAMPLES)


def responses_of(rows: Sequence[tuple[str, str]]) -> pa.Table:
    """Responses of (sample_id, text)."""
    text = pa.array([text for _, text in rows], pa.string())
    reasoning, answer = split_reasoning(text)
    ids = pa.array([sample_id for sample_id, _ in rows], pa.string())
    return pa.table({"sample_id": ids, "text": text, "reasoning": reasoning, "answer": answer})
