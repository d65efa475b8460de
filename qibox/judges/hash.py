"""Verdicts drawn from a hash: no judgment at all, for measuring what everything else costs.

A response's verdict is one of a fixed set, chosen by the hash of (sample_id, text): the same
response always gets the same, nearly free of cost. It says nothing about the response.
"""

import random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qibox.hashing import row_hashes
from qibox.judges.table import verdicts_table, without_reasoning
from qibox.verdict import Verdict, VerdictWeights

VARIETY = 512  # distinct verdicts


class HashJudge:
    """Chooses among :data:`VARIETY` verdicts by hash; see the module."""

    looks_up = True

    def __init__(self, weights: VerdictWeights) -> None:
        drawn = [_verdict(random.Random(index)) for index in range(VARIETY)]
        plain = [without_reasoning(verdict) for verdict in drawn]
        self._verdicts = verdicts_table([*drawn, *plain], weights)

    def judge(self, samples: pa.Table, responses: pa.Table) -> pa.Table:
        """Return a verdict for each response, in order; reasoning is rated where it is shown."""
        chosen = (row_hashes(responses.select(["sample_id", "text"])) % VARIETY).astype(np.int64)
        silent = pc.is_null(responses["reasoning"]).to_numpy().astype(np.int64)
        return self._verdicts.take(pa.array(chosen + VARIETY * silent))

    def close(self) -> None:
        """Nothing is held."""


def _verdict(rng: random.Random) -> Verdict:
    criteria = [rng.randint(1, 10) for _ in range(5)]
    return Verdict(
        logical_coherence=criteria[0],
        image_grounding=criteria[1],
        safety_awareness=criteria[2],
        harmlessness=criteria[3],
        helpfulness=criteria[4],
        hallucination=rng.random() < 0.2,
        contradiction=rng.random() < 0.2,
        grounding_gap=rng.choice((0, 0, 0, 1, 2, 3)),
        safe=criteria[3] >= 5,
        rationale="drawn by hash",
    )
