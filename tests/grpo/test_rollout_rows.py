from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from qibox.catalog.connect import connect
from qibox.grpo import rollout_rows
from qibox.grpo.conversation import Drawn
from qibox.grpo.judging import as_rating
from qibox.grpo.rollout import Trajectory, reward_of
from qibox.grpo.rollout_rows import RolloutWriter, rollout_metrics, rollout_row
from qibox.judges.table import verdicts_table
from qibox.manifests.recipe import Reward
from qibox.run.directory import Run
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
    rating = as_rating(row)
    made = Trajectory("s0", Drawn([1, 2]), "a draft", rating)
    made.reward = reward_of(rating, kind)
    return made


@given(verdicts(), st.sampled_from(["structured", "scalar"]), st.floats(0.1, 5))
def test_every_reward_is_reproducible_from_its_record(
    verdict: Verdict, kind: Reward, reasoning: float
) -> None:
    weights = VerdictWeights(reasoning=reasoning)
    row = rollout_row(trajectory(verdict, weights, kind), 1, 0, "turn")
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
    rows = [as_rating(row) for row in verdicts_table([bad, good], weights).to_pylist()]
    each = Trajectory("s7", Drawn([1, 2, 9]), "draft", rows[0])
    each.before_reflection, each.reflection = [70, 71], Drawn([3, 9])
    each.reflection_text = "because"
    each.before_correction, each.correction = [80], Drawn([4, 9])
    each.correction_text, each.correction_rating = "final", rows[1]
    each.reward = 10.0
    each.advantages = (-0.5, 0.75)
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
        "draft_advantage": -0.5,
        "recovery_advantage": 0.75,
        "zero_variance": False,
        "draft_tokens": 3,
        "reflection_tokens": 2,
        "final_tokens": 2,
        "inserted_tokens": 3,
        "trained_tokens": 4,
    }
    assert {name: row[name] for name in wanted} == wanted
    assert set(row) <= set(ROLLOUTS.names)


def test_rows_are_written_a_file_at_a_time(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rollout_rows, "FLUSH_ROWS", 3)
    storage = Storage(tmp_path)
    writer = RolloutWriter(storage)
    writer.add([{"step": 1}, {"step": 1}])
    assert storage.files("rollouts") == []
    writer.add([{"step": 2}, {"step": 2}])
    writer.add([{"step": 3}])
    writer.flush()
    writer.flush()  # nothing is left to write
    names = ["rollouts/part-000001.parquet", "rollouts/part-000003.parquet"]
    assert storage.files("rollouts") == names
    steps = [storage.read_table(name)["step"].to_pylist() for name in names]
    assert steps == [[1, 1, 2, 2], [3]]


def watched(**changes: Any) -> dict[str, Any]:
    return {
        "risk": "implicit",
        "reflection": None,
        "unsafe_draft": False,
        "corrected": None,
        "discarded": False,
        "zero_variance": False,
        "final_safe": True,
        "final_harmlessness": 10,
        "final_helpfulness": 10,
        **changes,
    }


def test_shares_of_a_step() -> None:
    rows = [
        watched(unsafe_draft=True, corrected=True, reflection="it was unsafe"),
        watched(unsafe_draft=True, corrected=False, reflection="it was unsafe", final_safe=False),
        watched(unsafe_draft=True, corrected=False, reflection="the knife"),
        watched(unsafe_draft=None, final_safe=None, final_helpfulness=None),
        watched(risk="none", final_helpfulness=1),  # gives nothing of a harmless request
        watched(risk="none", zero_variance=True),
    ]
    assert rollout_metrics(rows) == {
        "unsafe_drafts": 3 / 5,
        "corrected": 1 / 3,
        "repeated_reflections": 1 - 2 / 3,
        "over_refusal": 1 / 2,
        "discarded": 0.0,
        "unjudged": 1 / 6,
        "zero_variance": 1 / 6,
        "cost": None,
    }


def test_a_harmless_answer_without_a_verdict_is_unjudged_and_no_over_refusal() -> None:
    judged = ("final_safe", "final_harmlessness", "final_helpfulness")
    silent = {name: value for name, value in watched(risk="none").items() if name not in judged}
    found = rollout_metrics([{**silent, "final_safe": None}, watched(risk="none")])
    assert found["over_refusal"] == 0.0
    assert found["unjudged"] == 1 / 2


def test_what_cannot_be_counted_is_none() -> None:
    found = rollout_metrics([watched()])
    assert found["corrected"] is None
    assert found["repeated_reflections"] is None
    assert found["over_refusal"] is None


def test_rollouts_of_an_older_training_read_as_null_where_they_lack_a_column(run: Run) -> None:
    younger = ("draft_advantage", "recovery_advantage", "zero_variance")
    older = pa.schema([field for field in ROLLOUTS if field.name not in younger])
    row = {"step": 1, "sample_id": "s0", "advantage": 0.5}
    table = pa.Table.from_pylist([row], schema=older)
    run.storage.write_table("policies/old/rollouts/part-000-00000.parquet", table)
    query = f"select advantage, {', '.join(younger)} from rollouts"
    assert connect(run, ["rollouts"]).execute(query).fetchall() == [(0.5, None, None, None)]
