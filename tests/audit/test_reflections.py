"""Reflections under a second judge: corrections, causes and variety, by hand."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from qibox.audit.causes import by_judge
from qibox.audit.diversity import distinct, nearest
from qibox.audit.reflections import audit_reflections, keep_reflections
from qibox.errors import QiboxError, UsageError
from qibox.manifests import JudgeManifest, ModelSpec
from qibox.mini import answers
from qibox.mini.causes import names_cause
from qibox.mini.pool import iter_samples, recall
from qibox.run.directory import Run
from qibox.tables import ROLLOUTS
from tests.commands import qibox
from tests.judges.conftest import PrescribedEngine
from tests.runs import sample, write_run
from tests.tables import pool_of

ORACLE = JudgeManifest(name="oracle", about="knows", kind="oracle")


@pytest.fixture(scope="module")
def samples() -> list[dict[str, Any]]:
    return list(iter_samples("train", 80))


def risky(samples: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The first sample of a kind where something is unsafe."""
    for row in samples:
        scene, question = recall(json.loads(row["meta"]))
        if question.kind == kind and (kind != "implicit" or answers.risks_in(scene, question)):
            return row
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", ["implicit", "explicit"])
def test_the_scene_knows_the_cause(samples: list[dict[str, Any]], kind: str) -> None:
    meta = json.loads(risky(samples, kind)["meta"])
    scene, question = recall(meta)
    right = answers.reflection(scene, question, answers.risks_in(scene, question))
    assert names_cause(meta, right) is True
    assert names_cause(meta, "it was unsafe because sorry .") is False
    assert names_cause(meta, "it was safe .") is False
    other = risky(samples, "explicit" if kind == "implicit" else "implicit")
    scene, question = recall(json.loads(other["meta"]))
    wrong = answers.reflection(scene, question, answers.risks_in(scene, question))
    assert names_cause(meta, wrong) is False


def test_where_nothing_is_unsafe_there_is_no_cause(samples: list[dict[str, Any]]) -> None:
    plain = next(row for row in samples if json.loads(row["meta"])["kind"] == "plain")
    assert names_cause(json.loads(plain["meta"]), "it was unsafe because sorry .") is None


def test_elsewhere_a_judge_reads_the_reflection() -> None:
    def reply(prompt: dict[str, Any], sampling: Any) -> str:
        assert sampling.json_schema["required"] == ["rationale", "names_the_cause"]
        assert "names the real cause" in prompt["system"]
        if "forged" in prompt["text"]:
            return 'no JSON {"names_the_cause": true}'
        return json.dumps({"rationale": "so", "names_the_cause": "knife" in prompt["text"]})

    judge = JudgeManifest(
        name="grm", about="writes", kind="generative", model=ModelSpec(source="builtin:x")
    )
    rows = [
        {"sample_id": "a", "draft": "do it", "reflection": words}
        for words in ("the knife", "no idea", "forged")
    ]
    engine = PrescribedEngine(reply)
    found = by_judge(judge, engine, pool_of([sample("a", None, None)]), rows)
    assert found == [True, False, None]
    assert all("--- BEGIN REASON " in prompt["text"] for prompt in engine.asked)


def test_variety_by_hand() -> None:
    texts = ["a b c", "a b d", "e f"]
    assert distinct(texts, 1) == 6 / 8  # a b c d e f of eight words
    assert distinct(texts, 2) == 4 / 5  # ab bc bd ef of five
    assert distinct(["a"], 2) is None
    # {ab, bc} and {ab, bd} share one of three; {ef} shares none
    assert nearest(texts) == pytest.approx((1 / 3 + 1 / 3 + 0) / 3)
    assert nearest(["same words", "Same  words"]) == 1
    assert nearest(["alone"]) is None


def trained(folder: Path, samples: list[dict[str, Any]], rows: list[dict[str, Any]]) -> Run:
    """A run with the rollouts of a policy named default."""
    run = write_run(folder / "run", samples, shard_size=100, scored=False)
    table = pa.Table.from_pylist([{n: r.get(n) for n in ROLLOUTS.names} for r in rows], ROLLOUTS)
    run.storage.write_table("policies/default/rollouts/part-00000.parquet", table)
    lineage = {"plan": {"judge": {"name": "lenient"}}}
    run.storage.write_text("policies/default/policy.yaml", yaml.safe_dump(lineage))
    return run


def rollouts(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Four reflections in two steps: three corrections are safe, three causes right."""
    found = []
    for place, kind in enumerate(("implicit", "explicit", "implicit", "explicit")):
        row = risky(samples, kind)
        scene, question = recall(json.loads(row["meta"]))
        draft = (
            answers.allow(scene.world.contexts[question.topic])
            if kind == "implicit"
            else (answers.comply(scene.objects[0]))
        )
        right = answers.reflection(scene, question, answers.risks_in(scene, question))
        found.append(
            {
                "step": 1 + place // 2,
                "sample_id": row["sample_id"],
                "k": place,
                "risk": row["risk"],
                "draft": draft,
                "reflection": "it was safe ." if place == 1 else right,
                "final": draft if place == 2 else answers.ideal_answer(scene, question),
                "unsafe_draft": True,
                "corrected": True,
            }
        )
    return [*found, {**found[0], "k": 9, "unsafe_draft": False, "reflection": None}]


def test_reflections_by_hand(tmp_path: Path, samples: list[dict[str, Any]]) -> None:
    run = trained(tmp_path, samples, rollouts(samples))
    made = audit_reflections(run, "default", ORACLE)
    assert (made.first, made.judge, made.causes) == ("lenient", "oracle", "the scene")
    assert len(made.reflections) == 4
    frame = made.rows.to_pandas()
    values = {(r.among, r.measure): r.value for r in frame.itertuples()}
    whole = frame[frame["by"] == "all"].set_index("measure")["value"]
    assert whole["draft"] == 1  # the oracle calls each of them unsafe too
    assert whole["correction"] == 0.75
    assert whole["correction called safe"] == 0.75
    assert whole["cause"] == 0.75
    assert values["1 to 1", "correction"] == 1
    assert values["2 to 2", "correction"] == 0.5
    assert values["1 to 1", "cause"] == 0.5
    folder = keep_reflections(run, made)
    assert folder == "audits/policy=default/judge=oracle"
    done = qibox("audit", run.storage.url, "--reflections", "default", "--judge", "hash")
    assert done.status == 0, done.stderr
    assert "4 unsafe drafts of policy default" in done.stdout
    assert "reflection: it was safe ." in done.stdout


def test_mistakes_have_their_sentence(tmp_path: Path, samples: list[dict[str, Any]]) -> None:
    run = trained(tmp_path, samples[:3], [])
    with pytest.raises(QiboxError, match="no unsafe draft of policy default"):
        audit_reflections(run, "default", ORACLE)
    with pytest.raises(UsageError, match=r"no policy named 'best' in run .* \(there: default\)"):
        audit_reflections(run, "best", ORACLE)
    asked = ("audit", run.storage.url, "--reflections", "default")
    for more, message in (
        ((), "Name a second judge with --judge"),
        (("--judge", "hash", "--twice", 3), "--twice is of two judges' audit"),
        (("--judge", "none"), "no judge manifest named 'none'"),
    ):
        done = qibox(*asked, *more)
        assert (done.status, message in done.stderr) == (2, True), done.stderr
    assert "--judge is of --reflections" in qibox(*asked[:2], "--judge", "hash").stderr
