"""Trajectories as rows of :data:`qibox.tables.ROLLOUTS`, and the files that hold them.

Writes rollouts/part-RRR-NNNNN.parquet (R the process, N in order), a few hundred steps a file.
"""

from typing import Any

import pyarrow as pa

from qibox.grpo.reward import VerdictRow
from qibox.grpo.rollout import Trajectory
from qibox.manifests.recipe import TrainOn
from qibox.run.storage import Storage
from qibox.tables import ROLLOUTS

FLUSH_ROWS = 4096  # rows held before they are written; what a crash can lose


def rollout_row(each: Trajectory, step: int, k: int, train_on: TrainOn) -> dict[str, Any]:
    """Return a trajectory's row, but for the columns that it does not know itself."""
    inserted = len(each.before_reflection) + len(each.before_correction)
    return {
        "step": step,
        "sample_id": each.sample_id,
        "k": k,
        "draft": each.draft_text,
        "reflection": each.reflection_text,
        "final": each.final_text,
        "unsafe_draft": each.unsafe_draft,
        "corrected": each.corrected,
        "discarded": each.discarded,
        **_prefixed("draft", each.draft_verdict),
        **_prefixed("final", each.final_verdict),
        "reward": each.reward,
        "draft_tokens": len(each.draft.ids),
        "reflection_tokens": None if each.reflection is None else len(each.reflection.ids),
        "final_tokens": None if each.correction is None else len(each.correction.ids),
        "inserted_tokens": inserted,
        "trained_tokens": sum(each.mask(train_on)),
    }


def _prefixed(part: str, verdict: VerdictRow) -> dict[str, Any]:
    named = {f"{part}_{name}": value for name, value in verdict.items()}
    return {name: value for name, value in named.items() if name in ROLLOUTS.names}


class RolloutWriter:
    """Collects rows and writes them, a file at a time, under a policy's directory."""

    def __init__(self, storage: Storage, process: int = 0) -> None:
        self._storage = storage
        self._process = process
        self._rows: list[dict[str, Any]] = []
        self._files = 0

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Keep rows, and write them once there are enough for a file."""
        self._rows += rows
        if len(self._rows) >= FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what has been collected."""
        if not self._rows:
            return
        table = pa.Table.from_pylist(self._rows, schema=ROLLOUTS)
        name = f"rollouts/part-{self._process:03d}-{self._files:05d}.parquet"
        self._storage.write_table(name, table)
        self._files += 1
        self._rows = []
