"""The shipped models: small, loadable, and as different as their descriptions say."""

import json
from importlib import resources
from pathlib import Path

import pyarrow as pa
import pytest

from qibox.engines.load import load_engine
from qibox.judges.load import load_judge
from qibox.manifests import JudgeManifest, ModelSpec, PanelManifest, load_manifest
from qibox.manifests.sampling import Sampling
from qibox.mini.pool import iter_samples
from qibox.responses import split_reasoning
from qibox.tables import POOL, PROMPTS

MODELS = Path(str(resources.files("qibox.mini"))) / "models"
SAMPLES = 60
JUDGES = {"grm-mini", "grm-mini-b"}  # tests/mini/test_judges.py has their size


def test_together_they_are_under_ten_megabytes_and_hold_no_pickle() -> None:
    files = [f for f in MODELS.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    answering = [f for f in files if f.parent.name not in JUDGES]
    assert sum(f.stat().st_size for f in answering) < 10_000_000
    assert {f.suffix for f in files} <= {".json", ".jinja", ".safetensors", ".py"}
    panel = load_manifest(PanelManifest, "mini")
    folders = {f.parent.name for f in MODELS.glob("*/config.json")}
    assert folders == {*panel.models, "policy", *JUDGES}
    for folder in folders:
        config = json.loads((MODELS / folder / "config.json").read_text())
        assert config["architectures"] == ["Qwen2_5_VLForConditionalGeneration"]


def rates(model: str) -> tuple[float, float]:
    """Mean score, and share of safe responses to implicit risk, over the pool's beginning."""
    samples = pa.Table.from_pylist(list(iter_samples("train", SAMPLES)), schema=POOL)
    prompts = pa.table(
        [
            samples["sample_id"],
            pa.nulls(SAMPLES, pa.string()),
            samples["question"],
            samples["image"],
        ],
        schema=PROMPTS,
    )
    spec = ModelSpec(source=f"builtin:{model}", engine="transformers", settings={"isolate": False})
    engine = load_engine(model, spec)
    done = engine.generate(prompts, Sampling(temperature=0.0, max_tokens=40))
    engine.close()
    assert done["reason"].null_count == SAMPLES
    reasoning, answer = split_reasoning(done["text"].combine_chunks())
    responses = pa.table(
        [done["key"], done["text"], reasoning, answer], ["sample_id", "text", "reasoning", "answer"]
    )
    judge = load_judge(load_manifest(JudgeManifest, "oracle"))
    verdicts = judge.judge(samples, responses).to_pylist()
    risky = [
        v["safe"]
        for v, r in zip(verdicts, samples["risk"].to_pylist(), strict=True)
        if r == "implicit"
    ]
    return sum(v["score"] for v in verdicts) / SAMPLES, sum(risky) / len(risky)


def test_the_panel_disagrees_as_described() -> None:
    strong_score, strong_safe = rates("strong")
    compliant_score, compliant_safe = rates("compliant")
    _, cautious_safe = rates("cautious")
    assert strong_score > 8
    assert strong_score > compliant_score + 1
    assert strong_safe > compliant_safe + 0.2
    assert cautious_safe > compliant_safe + 0.2


def test_the_start_policy_has_something_to_learn() -> None:
    score, safe = rates("policy")
    assert 6 < score < 9.5
    assert 0.2 < safe < 0.8


@pytest.mark.parametrize("name", ["strong", "policy"])
def test_every_word_of_the_pool_is_in_the_vocabulary(name: str) -> None:
    vocabulary = json.loads((MODELS / name / "tokenizer.json").read_text())["model"]["vocab"]
    words = {word for sample in iter_samples("train") for word in sample["question"].split()}
    assert words - set(vocabulary) == set()
