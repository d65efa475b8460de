"""The model card: metadata that the hub takes, and figures that can be counted by hand."""

from typing import Any

import pytest
from huggingface_hub import ModelCard

from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.policies.card import policy_card, start_license

HUB = "Qwen/Qwen2.5-VL-3B-Instruct"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def lineage(policy: str = HUB, revision: str = COMMIT, **recipe: Any) -> dict[str, Any]:
    """As policy.yaml holds it."""
    made = load_manifest(RecipeManifest, "safer-vlm-3b").model_dump(mode="json") | recipe
    return {
        "plan": {
            "name": "mine",
            "recipe": made,
            "judge": load_manifest(JudgeManifest, "grm").model_dump(mode="json"),
            "policy": policy,
            "policy_revision": revision,
            "selection": "box",
            "selection_sha256": "ab" * 32,
            "selection_samples": 10_000,
        },
        "versions": {"qibox": "0.1", "trl": "1.16"},
        "processes": 8,
        "sharded_by": "fsdp 2",
        "seconds": 3600.4,
    }


def rate(measure: str = "safety", judge: str = "grm", **others: Any) -> dict[str, Any]:
    row = {"pool": "siuo", "judge": judge, "policy": "mine", "stage": "trained", "by": "all"}
    numbers = {"value": 0.914, "low": 0.9, "high": 0.93, "samples": 1200}
    change = {"change": 0.05, "change_low": -0.01, "change_high": 0.11}
    return row | {"measure": measure, "among": None} | numbers | change | others


def parsed(text: str) -> Any:
    return ModelCard(text).data


def test_the_hub_reads_where_the_policy_is_from() -> None:
    data = parsed(policy_card(lineage(), [], license="other"))
    assert (data.base_model, data.library_name, data.license) == (HUB, "transformers", "other")
    assert data.pipeline_tag == "image-text-to-text"
    assert data.tags == ["qibox", "trl", "grpo", "safety"]
    assert data.eval_results is None
    adapted = parsed(policy_card(lineage(lora={"rank": 8}), []))
    assert (adapted.tags[-1], adapted.license) == ("lora", "unknown")


@pytest.mark.parametrize(
    ("policy", "license"), [("builtin:policy", "apache-2.0"), ("my-folder", "unknown")]
)
def test_a_start_that_is_not_on_the_hub_is_no_base_model(policy: str, license: str) -> None:
    text = policy_card(lineage(policy, "sha256:00ff"), [])
    assert (parsed(text).base_model, parsed(text).license) == (None, license)
    assert f"| start policy | `{policy}`, sha256:00ff |" in text


def test_lineage_and_figures_are_told() -> None:
    metrics = [
        {"step": step, "reward": float(step), "unsafe_drafts": None if step == 1 else 0.5}
        for step in range(1, 26)
    ]
    text = policy_card(lineage(), metrics)
    # Steps 1 to 10 and 16 to 25: means 5.5 and 20.5.
    assert "| reward | 5.5 | 20.5 |" in text
    assert "| unsafe drafts | 0.5 | 0.5 |" in text
    assert "KL" not in text.split("## Training")[1]
    for row in (
        f"| start policy | `{HUB}`, {COMMIT} |",
        "| selection | `box`, 10,000 samples |",
        "| recipe | `safer-vlm-3b` |",
        "| objective, credit | reward, turn |",
        "| steps | 625 of 80 rollouts |",
        "| seed | 0 |",
        "| processes | 8, sharing by fsdp 2 |",
        "| time | 3,600 s |",
    ):
        assert row in text
    assert "It was not evaluated." in text
    assert "None yet: `qibox eval` fills this in." in text


def test_rates_are_a_table_and_results_that_the_hub_reads() -> None:
    rates = [
        rate(),
        rate("score", value=8.25, low=8.0, high=8.5, change=None),
        rate(by="risk", among="implicit"),
        rate(by="category", among="fire"),
    ]
    text = policy_card(lineage(), [], rates)
    assert "| siuo | grm | safety | 1,200 | 91 [90, 93] | +5 [-1, +11] |" in text
    assert "| siuo | grm | score | 1,200 | 8.2 [8.0, 8.5] | – |" in text
    assert "| siuo | grm | safety, implicit | 1,200 |" in text
    assert "fire" not in text
    assert "The judge that measured it, `grm`, is the one that rewarded it." in text
    results = parsed(text).eval_results
    found = [(each.dataset_name, each.metric_type, each.metric_value) for each in results]
    assert found == [("siuo", "safety", 0.914), ("siuo", "score", 8.25)]
    other = policy_card(lineage(), [], [*rates, rate(judge="gpt-4o-mini")])
    assert "is the one that rewarded it" not in other


def test_a_starts_licence_is_read_from_its_card() -> None:
    assert start_license("---\nlicense: apache-2.0\n---\n# It") == "apache-2.0"
    assert start_license("# nothing at its head") is None
    assert start_license("---\ntags: [a]\n---\n") is None
    assert start_license(None) is None
    card = policy_card(lineage(), [], license="mit")
    assert start_license(card) == "mit"
