"""The oracle as a judge: it knows every scene of the miniature world and judges exactly."""

import json
from typing import Any

import pyarrow as pa

from qibox.judges.table import Failure, verdicts_table
from qibox.mini.oracle import judge_response
from qibox.mini.pool import recall
from qibox.verdict import Verdict, VerdictWeights


class OracleJudge:
    """Judges responses to samples of :mod:`qibox.mini`; any other sample gets a reason."""

    def __init__(self, weights: VerdictWeights) -> None:
        self._weights = weights

    def judge(self, samples: pa.Table, responses: pa.Table) -> pa.Table:
        """Return a verdict for each response, in order."""
        ids, texts = samples["sample_id"].to_pylist(), samples["meta"].to_pylist()
        known = {i: known_meta(text) for i, text in zip(ids, texts, strict=True)}
        columns = (responses[n].to_pylist() for n in ("sample_id", "text", "reasoning", "answer"))
        outcomes = [
            _judge(i, known[i], text, reasoning, answer)
            for i, text, reasoning, answer in zip(*columns, strict=True)
        ]
        return verdicts_table(outcomes, self._weights)

    def close(self) -> None:
        """Nothing is held."""


def _judge(
    sample_id: str,
    meta: dict[str, Any] | None,
    text: str,
    reasoning: str | None,
    answer: str | None,
) -> Verdict | Failure:
    if meta is None:
        return Failure(f"the oracle judges the miniature world only; sample {sample_id} is not")
    return judge_response(meta, text, reasoning, answer)


def known_meta(text: str | None) -> dict[str, Any] | None:
    """A sample's meta if it describes a scene and a question of the miniature world, else None."""
    try:
        meta = json.loads(text or "null")
        recall(meta)
    except (ValueError, TypeError, KeyError):
        return None
    return dict(meta)
