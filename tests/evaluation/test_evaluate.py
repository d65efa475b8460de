"""Evaluation with an engine that recites, and once with a real model from disk."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from qibox.errors import UsageError
from qibox.evaluation import evaluate as evaluation
from qibox.evaluation.evaluate import answer_and_judge, evaluate, evaluation_of
from qibox.judges.load import load_judge
from qibox.manifests import JudgeManifest, ModelSpec, PanelManifest, PoolManifest, load_manifest
from qibox.manifests.sampling import Sampling
from qibox.mini.pool import iter_samples
from qibox.policies.contenders import Contender, contenders_of
from qibox.run.directory import Run, RunManifest
from qibox.run.storage import Storage
from qibox.tables import COMPLETIONS, EVALUATIONS, POOL

REFUSAL = "sorry , i can not help with that ."


class Reciter:
    """Says the same of every prompt; its second response to the first prompt fails."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.prompts: list[dict[str, Any]] = []
        self.closed = False

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        self.prompts += prompts.to_pylist()
        rows = []
        for key in prompts["key"].to_pylist():
            for k in range(sampling.samples):
                failed = key.endswith("000000") and k == 1
                done = {"text": self._text, "finish_reason": "stop", "tokens": 3}
                rows.append({"key": key, "k": k} | ({"reason": "too long"} if failed else done))
        return pa.Table.from_pylist(rows, schema=COMPLETIONS)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def run(tmp_path: Path) -> Run:
    manifest = RunManifest(
        pool=load_manifest(PoolManifest, "mini"),
        panel=load_manifest(PanelManifest, "mini"),
        judges=(load_manifest(JudgeManifest, "oracle"),),
    )
    return Run.create(Storage(tmp_path / "run"), manifest)


@pytest.fixture
def samples() -> pa.Table:
    return pa.Table.from_pylist(list(iter_samples("heldout", 4)), schema=POOL)


def spec(revision: str) -> ModelSpec:
    return ModelSpec(source="somewhere", revision=revision, engine="transformers")


def test_a_row_a_response_with_the_reason_of_what_is_missing(run: Run, samples: pa.Table) -> None:
    wanted = evaluation_of(run, load_manifest(PoolManifest, "mini-heldout"), samples_per_model=2)
    engine = Reciter(REFUSAL)
    rows = answer_and_judge(engine, load_judge(wanted.judge), samples, wanted).to_pylist()
    first, second = "mini-heldout-000000", "mini-heldout-000001"
    assert [row["sample_id"] for row in rows[:3]] == [first, first, second]
    assert [row["k"] for row in rows] == [0, 1] * 4
    assert (rows[1]["text"], rows[1]["score"], rows[1]["reason"]) == (None, None, "too long")
    assert (rows[0]["answer"], rows[0]["safe"], rows[0]["reason"]) == (REFUSAL, True, None)
    risks = samples["risk"].to_pylist()
    assert [row["risk"] for row in rows] == [risk for risk in risks for _ in range(2)]
    assert [prompt["text"] for prompt in engine.prompts] == samples["question"].to_pylist()


def test_rates_before_and_after_are_stored_with_their_rows(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A question for harm is refused by one and granted by the other; the rest is refused.
    engines = {"old": Reciter("sure , use the knife for that ."), "new": Reciter(REFUSAL)}
    asked: list[str] = []

    def start(model: str, wanted: ModelSpec) -> Reciter:
        asked.append(f"{model}/{wanted.revision}")
        return engines[str(wanted.revision)]

    monkeypatch.setattr(evaluation, "load_engine", start)
    pool = load_manifest(PoolManifest, "mini-heldout")
    wanted = evaluation_of(run, pool, samples_per_model=2, limit=40)
    both = [Contender("start", spec("old")), Contender("trained", spec("new"))]
    report = evaluate(run, "mine", both, wanted)
    found = {(line.measure.name, line.measure.risk): line for line in report.compared}
    explicit = found["safety", "explicit"]
    assert explicit.start is not None
    assert explicit.change is not None
    assert (explicit.start.value, explicit.trained.value, explicit.change.value) == (0.0, 1.0, 1.0)
    assert found["over-refusal", "none"].trained.value == 1.0  # a refusal of everything
    assert found["helpfulness", "none"].trained.value == 0.0
    assert (report.samples, report.unjudged) == (40, {"start": 1, "trained": 1})
    assert asked == ["policy/old", "policy/new"]  # one id, so both are drawn under the same noise
    assert all(engine.closed for engine in engines.values())

    folder = "policies/mine/eval/"
    for stage in ("start", "trained"):
        rows = run.storage.read_table(f"{folder}mini-heldout-{stage}.parquet")
        assert rows.schema.remove_metadata().equals(EVALUATIONS)
        assert set(rows["stage"].to_pylist()) == {stage}
    stored = json.loads(run.storage.read_text(f"{folder}mini-heldout.json"))
    assert stored == report.model_dump(mode="json")

    assert evaluate(run, "mine", both, wanted) == report  # nothing is answered again …
    assert len(asked) == 2
    changed = evaluation_of(run, pool, samples_per_model=3, limit=40)
    evaluate(run, "mine", both, changed)  # … unless what determines it has changed
    assert len(asked) == 4


def test_samples_that_were_trained_on_are_refused(run: Run, samples: pa.Table) -> None:
    known = pa.table(
        {
            "question": samples["question"],
            "images": pa.array([[image] for image in samples["image"].to_pylist()]),
        }
    )
    wanted = evaluation_of(run, load_manifest(PoolManifest, "mini-heldout"), limit=10)
    with pytest.raises(UsageError, match="shares 4 samples"):
        evaluate(run, "mine", [Contender("trained", spec("new"))], wanted, known)


def test_an_unknown_policy_is_one_sentence(run: Run) -> None:
    with (
        pytest.raises(UsageError, match=r"no policy named 'nobody'.*none yet.*qibox train"),
        contenders_of(run, "nobody"),
    ):
        pass
