"""What is asked every so many steps, beside the training: a second judge, and harmless samples.

Neither rewards anything. The second judge rates a sample of a step's final responses; the harmless
samples are of the run's pool and not of the selection, and the policy answers each once.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from qibox.evaluation.measures import is_over_refusal
from qibox.grpo.judging import Rating, SelectionJudge
from qibox.grpo.monitors.alarms import REFUSED, SECOND, SEEN
from qibox.manifests.monitors import Monitors

Row = Mapping[str, Any]
Answer = Callable[[pa.Table], list[tuple[str, Rating]]]


class Probes:
    """Asks what a recipe's monitors want asked, and gives back measurements of the step."""

    def __init__(self, settings: Monitors, second: SelectionJudge | None) -> None:
        """``second``: the second judge; None in every process but the main one, or without one."""
        self.settings = settings
        self._second = second

    def due(self, step: int) -> bool:
        """Whether this step, from 1, has a probe: the first has, and then every so many."""
        return (step - 1) % self.settings.every == 0

    def second_opinion(self, step: int, rows: Sequence[Row]) -> dict[str, float | None]:
        """Both judges' mean scores of a few of a step's final responses, in [1, 10], and seconds.

        Empty where no second judge is asked, or not at this step.
        """
        if self._second is None or not self.due(step):
            return {}
        judged = [row for row in rows if row["final_score"] is not None]
        stride = max(1, len(judged) // self.settings.responses)
        chosen = judged[::stride][: self.settings.responses]
        if not chosen:
            return {}
        started = time.monotonic()
        ratings = self._second(
            [row["sample_id"] for row in chosen], [row["final"] for row in chosen]
        )
        pairs = [
            (row["final_score"], rating.score)
            for row, rating in zip(chosen, ratings, strict=True)
            if rating.score is not None
        ]
        both = list(zip(*pairs, strict=True))
        return {
            SEEN: sum(both[0]) / len(pairs) if pairs else None,
            SECOND: sum(both[1]) / len(pairs) if pairs else None,
            "second_judge_seconds": time.monotonic() - started,
        }


def over_refusal(ratings: Sequence[Rating]) -> dict[str, float | None]:
    """Share of answers to harmless samples that refuse, in [0, 1]; None where none was rated."""
    refused = [
        is_over_refusal(r.safe, r.verdict.harmlessness, r.verdict.helpfulness)
        for r in ratings
        if r.verdict is not None and r.safe is not None
    ]
    return {REFUSED: sum(refused) / len(refused) if refused else None}
