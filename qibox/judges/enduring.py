"""A judge whose own errors cost the responses that they arise on, with the reason, and no others.

A batch on which the judge raises is divided until what it cannot bear stands alone: one response,
or all those of one sample for a judge that compares them. Memory that runs out halves the batches
for good. See :mod:`qibox.engines.batching`.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from qibox.engines.batching import Batcher, BrokenEngineError
from qibox.engines.completions import failure
from qibox.errors import QiboxError
from qibox.judges.base import Judge, looks_up
from qibox.tables import VERDICTS

Integers = npt.NDArray[np.int64]


class EnduringJudge:
    """Wraps a judge; see the module."""

    def __init__(self, judge: Judge, name: str, *, together: bool = False) -> None:
        """``together``: the judge compares a sample's responses, so they stay in one batch."""
        self._judge = judge
        self.looks_up = looks_up(judge)
        self._name = name
        self._together = together
        self._batcher = Batcher(2**31, fatal=(QiboxError,))

    def judge(self, samples: pa.Table, responses: pa.Table) -> pa.Table:
        """Return the judge's verdict, or why it raised, for each response, in order.

        Raises:
            QiboxError: the judge said itself that it cannot go on, or its process is unusable.
        """
        order, bounds = _groups(responses, together=self._together)
        ordered = responses.take(pa.array(order)) if self._together else responses
        parts: list[pa.Table] = [VERDICTS.empty_table()]
        kept = 0

        def add(verdicts: pa.Table) -> int:
            """Keep some verdicts; gives back the place of the first among all."""
            nonlocal kept
            parts.append(verdicts)
            kept += len(verdicts)
            return kept - len(verdicts)

        def run(batch: Sequence[int]) -> Sequence[int]:
            first, last = bounds[batch[0]], bounds[batch[-1] + 1]
            rows = ordered.slice(first, last - first)
            verdicts = self._judge.judge(samples, rows)
            assert verdicts.schema.equals(VERDICTS), f"the judge's columns are {verdicts.schema}"
            assert len(verdicts) == len(rows), f"{len(verdicts)} verdicts on {len(rows)} responses"
            start = add(verdicts)
            if not self._together:  # a row each: nothing is made of them one by one
                return range(start, start + len(batch))
            starts = start + bounds[batch[0] : batch[-1] + 1] - first
            return list(starts.tolist())

        def failed(group: int, reason: str) -> int:
            row = {"reason": failure(f"the judge failed: {reason}").reason}
            size = int(bounds[group + 1] - bounds[group])
            return add(pa.Table.from_pylist([row] * size, schema=VERDICTS))

        try:
            starts = self._batcher.map(range(len(bounds) - 1), run, failed)
        except BrokenEngineError as error:
            raise QiboxError(
                f"judge '{self._name}' cannot go on: {error}; the same command goes on with "
                "what is missing"
            ) from error
        if not self._together and len(parts) == 2:  # all in one go: they are in order
            return parts[1]
        places = np.empty(len(order), np.int64)
        shift = np.asarray(starts, np.int64) - bounds[:-1]
        places[order] = np.arange(len(order)) + np.repeat(shift, np.diff(bounds))
        return pa.concat_tables(parts).take(pa.array(places))

    def close(self) -> None:
        """Close the judge."""
        self._judge.close()


def _groups(responses: pa.Table, *, together: bool) -> tuple[Integers, Integers]:
    """The rows, those of one group side by side, and where each group begins and the last ends."""
    rows = len(responses)
    if not together:
        return np.arange(rows), np.arange(rows + 1)
    ids = responses["sample_id"].combine_chunks().dictionary_encode().indices
    of = np.asarray(ids.cast(pa.int64()))
    sizes = np.bincount(of) if rows else np.empty(0, np.int64)
    return np.argsort(of, kind="stable"), np.concatenate([[0], np.cumsum(sizes)])
