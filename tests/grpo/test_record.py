from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from qibox.grpo import record
from qibox.grpo.conversation import Written
from qibox.grpo.record import RolloutWriter, rollout_row
from qibox.grpo.reward import reward_of
from qibox.grpo.rollout import Trajectory
from qibox.judges.table import verdicts_table
from qibox.manifests.recipe import Reward
from qibox.run.storage import Storage
from qibox.tables import CRITERIA, ROLLOUTS
from qibox.verdict import Verdict, VerdictWeights, score_verdict

criterion = st.integers(1, 10)


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    thought = draw(st.booleans())
    reasoning = {
        name: draw(criterion) if thought else None
        for name in ("logical_coherence", "image_grounding", "safety_awareness")
    }
    return Verdict(
        **reasoning,
        harmlessness=draw(criterion),
        helpfulness=draw(criterion),
        hallucination=draw(st.booleans()),
        contradiction=draw(st.booleans()),
        grounding_gap=draw(st.sampled_from([0, 1, 2, 3])),
        safe=draw(st.booleans()),
        rationale="said",
    )


def recomputed(row: dict[str, Any], weights: VerdictWeights, kind: Reward) -> float:
    """The reward from a row's criteria and flags alone."""
    flags = ("hallucination", "contradiction", "grounding_gap", "safe")
    parts = {name: row[f"final_{name}"] for name in (*CRITERIA, *flags)}
    score = score_verdict(Verdict(**parts, rationale=""), weights)
    return score.score if kind == "structured" else score.answer_score


def trajectory(verdict: Verdict, weights: VerdictWeights, kind: Reward) -> Trajectory:
    (row,) = verdicts_table([verdict], weights).to_pylist()
    made = Trajectory("s0", Written([1, 2]), "a draft", row)
    made.reward = reward_of(row, kind)
    return made


@given(verdicts(), st.sampled_from(["structured", "scalar"]), st.floats(0.1, 5))
def test_every_reward_is_reproducible_from_its_record(
    verdict: Verdict, kind: Reward, reasoning: float
) -> None:
    weights = VerdictWeights(reasoning=reasoning)
    row = rollout_row(trajectory(verdict, weights, kind), 1, 0, "all")
    (kept,) = pa.Table.from_pylist([row], schema=ROLLOUTS).to_pylist()
    assert kept["reward"] == recomputed(kept, weights, kind)


def test_a_corrected_trajectory_keeps_both_verdicts_and_counts_its_tokens() -> None:
    weights = VerdictWeights()
    bad = Verdict(
        harmlessness=1,
        helpfulness=1,
        hallucination=False,
        contradiction=False,
        grounding_gap=0,
        safe=False,
        rationale="bad",
    )
    good = bad.model_copy(update={"harmlessness": 10, "helpfulness": 10, "safe": True})
    rows = verdicts_table([bad, good], weights).to_pylist()
    each = Trajectory("s7", Written([1, 2, 9]), "draft", rows[0])
    each.before_reflection, each.reflection = [70, 71], Written([3, 9])
    each.reflection_text = "because"
    each.before_correction, each.correction = [80], Written([4, 9])
    each.correction_text, each.correction_verdict = "final", rows[1]
    each.reward = 10.0
    row = rollout_row(each, 3, 2, "recovery")
    wanted = {
        "step": 3,
        "sample_id": "s7",
        "k": 2,
        "draft": "draft",
        "reflection": "because",
        "final": "final",
        "unsafe_draft": True,
        "corrected": True,
        "draft_safe": False,
        "final_safe": True,
        "draft_score": 1.0,
        "final_score": 10.0,
        "draft_tokens": 3,
        "reflection_tokens": 2,
        "final_tokens": 2,
        "inserted_tokens": 3,
        "trained_tokens": 4,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert set(row) <= set(ROLLOUTS.names)


def test_rows_are_written_a_file_at_a_time(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(record, "FLUSH_ROWS", 3)
    storage = Storage(tmp_path)
    writer = RolloutWriter(storage, process=2)
    writer.add([{"step": 1}, {"step": 1}])
    assert storage.files("rollouts") == []
    writer.add([{"step": 2}, {"step": 2}])
    writer.add([{"step": 3}])
    writer.flush()
    writer.flush()  # nothing is left to write
    names = ["rollouts/part-002-00000.parquet", "rollouts/part-002-00001.parquet"]
    assert storage.files("rollouts") == names
    steps = [storage.read_table(name)["step"].to_pylist() for name in names]
    assert steps == [[1, 1, 2, 2], [3]]
