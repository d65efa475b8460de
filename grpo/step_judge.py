"""Ask the judge about a step's rollouts: those of all processes in one call, with a deadline.

Only the main process holds the judge (:func:`qibox.grpo.judge_place.asked_judge`); the others hand
it what they drew and are handed what it said.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from qibox.errors import QiboxError
from qibox.grpo.judging import Rating, SelectionJudge

MODEL_FAILED = ("the judge's model failed", "the judge failed")  # how such reasons begin

T = TypeVar("T")


class JudgeStoppedError(QiboxError):
    """The judge does not answer any more; raised in every process of the training."""


class StepJudge:
    """Rates responses of all processes together; every process must ask at the same time."""

    def __init__(
        self, name: str, judge: SelectionJudge | None, deadline_s: float, *, compares: bool = False
    ) -> None:
        """``judge`` is None in every process but the main one."""
        self._name = name
        self._judge = judge
        self._deadline = deadline_s
        self.compares = compares

    def __call__(self, sample_ids: list[str], texts: list[str]) -> list[Rating]:
        """Rate each text as a response to its sample, in order.

        Raises:
            JudgeStoppedError: it did not answer in time, or gave no verdict on any of them.
        """
        parts: list[tuple[list[str], list[str]]] = gather_object([(sample_ids, texts)])
        answer: list[tuple[list[Rating], str | None]] = [([], None)]
        if self._judge is not None:
            everyone = [pair for part in parts for pair in zip(*part, strict=True)]
            answer = [self._ask([each for each, _ in everyone], [text for _, text in everyone])]
        ratings, why = broadcast_object_list(answer)[0]
        if why is not None:
            raise JudgeStoppedError(f"judge '{self._name}' stopped answering: {why}")
        first = sum(len(ids) for ids, _ in parts[: PartialState().process_index])
        return list(ratings[first : first + len(texts)])

    def _ask(self, sample_ids: list[str], texts: list[str]) -> tuple[list[Rating], str | None]:
        """The ratings, or why there are none."""
        judge = self._judge
        assert judge is not None
        try:
            ratings = within(self._deadline, lambda: judge(sample_ids, texts))
        except TimeoutError:
            return [], f"{len(texts)} responses were not rated within {self._deadline:g} s"
        except QiboxError as error:
            return [], str(error)
        reasons = [rating.reason or "" for rating in ratings]
        if reasons and all(reason.startswith(MODEL_FAILED) for reason in reasons):
            return [], f"none of {len(texts)} responses was rated ({reasons[0]})"
        return ratings, None


def within(seconds: float, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, if it does so in time; it is not ended otherwise.

    Raises:
        TimeoutError: it did not.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError
    return done[0]
