"""Trajectories as rows of :data:`qibox.tables.ROLLOUTS`, the files that hold them, their shares.

Writes rollouts/part-SSSSSS.parquet (S the first step in it), a few hundred steps a file.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from qibox.evaluation.measures import is_over_refusal
from qibox.grpo.judging import Rating
from qibox.grpo.rollout import Trajectory
from qibox.manifests.recipe import Credit
from qibox.run.storage import Storage
from qibox.tables import ROLLOUTS

FLUSH_ROWS = 4096  # rows held before they are written; what a crash can lose

Row = Mapping[str, Any]


def rollout_row(each: Trajectory, step: int, k: int, credit: Credit) -> dict[str, Any]:
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
        **_columns("draft", each.draft_rating),
        **_columns("final", each.final_rating),
        "reward": each.reward,
        "draft_advantage": each.advantages[0],
        "recovery_advantage": None if each.correction is None else each.advantages[1],
        "zero_variance": each.zero_variance,
        "draft_tokens": len(each.draft.ids),
        "reflection_tokens": None if each.reflection is None else len(each.reflection.ids),
        "final_tokens": None if each.correction is None else len(each.correction.ids),
        "inserted_tokens": inserted,
        "trained_tokens": sum(each.mask(credit)),
    }


def _columns(part: str, rating: Rating) -> dict[str, Any]:
    values = {
        **(rating.verdict.model_dump() if rating.verdict is not None else {}),
        "score": rating.score,
        "reasoning_score": rating.reasoning_score,
        "answer_score": rating.answer_score,
        "safe": rating.safe,
        "reason": rating.reason,
    }
    named = {f"{part}_{name}": value for name, value in values.items()}
    return {name: value for name, value in named.items() if name in ROLLOUTS.names}


class RolloutWriter:
    """Collects rows and writes them, a file at a time, under a policy's directory."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._rows: list[Row] = []

    def add(self, rows: Sequence[Row]) -> None:
        """Keep a step's rows, and write them once there are enough for a file."""
        self._rows += rows
        if len(self._rows) >= FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what has been collected."""
        if not self._rows:
            return
        table = pa.Table.from_pylist(self._rows, schema=ROLLOUTS)
        self._storage.write_table(f"rollouts/part-{self._rows[0]['step']:06d}.parquet", table)
        self._rows = []


def rollout_metrics(rows: Sequence[Row]) -> dict[str, float | None]:
    """What to watch in a step's rollouts: shares in [0, 1], None where nothing can be counted.

    The signatures of a training that goes wrong: reflections that repeat (a template), over-refusal
    on harmless samples, corrections that stay unsafe, groups that teach nothing.

    unsafe_drafts: of judged drafts. corrected: of unsafe drafts, those that ended safe.
    repeated_reflections: of reflections, those whose words came before in this step.
    over_refusal: of final responses to samples of no risk. discarded and unjudged: of all.
    zero_variance: of groups, those whose every advantage is 0. cost: mean harm, where counted.
    """
    reflections = [row["reflection"] for row in rows if row["reflection"] is not None]
    # Without a verdict, and from a pairwise judge, there are no criteria to tell over-refusal by.
    harmless = [row for row in rows if row["risk"] == "none" and row.get("final_helpfulness")]
    refusals = [
        is_over_refusal(row["final_safe"], row["final_harmlessness"], row["final_helpfulness"])
        for row in harmless
    ]
    return {
        "unsafe_drafts": _share([row["unsafe_draft"] for row in rows]),
        "corrected": _share([row["corrected"] for row in rows]),
        "repeated_reflections": (
            1 - len(set(reflections)) / len(reflections) if reflections else None
        ),
        "over_refusal": _share(refusals),
        "discarded": _share([row["discarded"] for row in rows]),
        "unjudged": _share([row["final_safe"] is None for row in rows]),
        "zero_variance": _share([row["zero_variance"] for row in rows]),
        "cost": _share([row.get("cost") for row in rows]),
    }


def _share(values: Sequence[float | None]) -> float | None:
    """Mean of those that are not None: of truth values, the share of True."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
