"""Keys of units as runs on disk carry them: a change of one here makes finished work be redone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from qibox.manifests import JudgeManifest, ModelSpec, PanelManifest, load_manifest
from qibox.run.units import judgments_key, responses_key, scores_key

SHARD = "5" * 64

# A spread of each engine's options that decide an answer, beside some that never did.
SETTINGS: dict[str, dict[str, Any]] = {
    "vllm": {
        "gpu_memory_utilization": 0.9,
        "max_model_len": 20480,
        "dtype": "bfloat16",
        "quantization": "fp8",
        "chat_template": "{{ messages }}",
        "mm_processor_kwargs": {"max_pixels": 1003520},
        "extra": {"hf_overrides": {"rope_scaling": None}},
        "cpu_kv_cache_gb": 2.0,
        "retries": 1,
    },
    "transformers": {
        "isolate": False,
        "batch_size": 8,
        "dtype": "float32",
        "attn_implementation": "sdpa",
        "max_model_len": 4096,
        "processor": {"max_pixels": 50176},
        "stall_timeout_s": 60.0,
    },
    "openai": {
        "base_url": "http://127.0.0.1:8000/v1",
        "api_key_env": "KEY",
        "concurrency": 4,
        "send_seed": False,
        "max_tokens_field": "max_completion_tokens",
        "structured": False,
        "native_n": True,
        "extra_body": {"top_k": 5},
    },
    "replay": {"model": "other"},
}


EARLIER = Path(__file__).parent / "earlier"  # manifests as they were shipped before


def as_it_was(name: str) -> str:
    """A manifest of before, where there is one, else a shipped one's name."""
    kept = EARLIER / f"{name}.yaml"
    return str(kept) if kept.exists() else name


def panel_of(name: str, engine: Any = None) -> PanelManifest:
    """A panel with made-up revisions, and each model under one engine if one is named."""
    panel = load_manifest(PanelManifest, as_it_was(name))
    models = {}
    for model, spec in panel.models.items():
        own = {} if engine is None else {"engine": engine, "settings": SETTINGS[engine]}
        models[model] = spec.model_copy(update={"revision": f"sha256:{model}", **own})
    return PanelManifest.model_validate(panel.model_copy(update={"models": models}).model_dump())


def judge_of(name: str) -> JudgeManifest:
    """A judge, its model at a made-up revision."""
    judge = load_manifest(JudgeManifest, as_it_was(name))
    if judge.model is None:
        return judge
    return judge.model_copy(
        update={"model": judge.model.model_copy(update={"revision": f"sha256:{name}"})}
    )


def keys_of(panel: PanelManifest, judge: JudgeManifest) -> tuple[str, str, str]:
    """Of the first model's responses, of their judgments, and of the scores of all models."""
    beside = [responses_key(SHARD, model, spec, panel) for model, spec in panel.models.items()]
    judged = [judgments_key(key, judge, beside) for key in beside]
    return beside[0], judged[0], scores_key(judged, panel)


def all_keys() -> Mapping[str, tuple[str, str, str]]:
    seven = panel_of("seven")
    odd = judge_of("grm").model_copy(
        update={
            "rubric": "{question} {response}",
            "model": ModelSpec(
                source="served", engine="openai", settings=SETTINGS["openai"], system="Rate."
            ),
        }
    )
    return {
        "mini, oracle": keys_of(panel_of("mini"), judge_of("oracle")),
        "seven, grm": keys_of(seven, judge_of("grm")),
        "seven, grm-rl-7b": keys_of(seven, judge_of("grm-rl-7b")),
        "seven, gpt-4o-mini": keys_of(seven, judge_of("gpt-4o-mini")),
        "seven, another endpoint": keys_of(seven, odd),
        **{
            f"seven under {engine}, hash": keys_of(panel_of("seven", engine), judge_of("hash"))
            for engine in SETTINGS
        },
    }


KEYS = {
    "mini, oracle": (
        "369673e3db4c89d9832484a457dce912d2f3fe985f8e45f8e363d140c776969c",
        "7461bcd57c4b4d18a7856ab3a3a556a54b0c35584d5ff2ce587cb28d9b3b685a",
        "6498f866901aa845b466d01c0b91900d73316930363b78596244c3643c6a7b30",
    ),
    "seven, grm": (
        "8235cf94bc70c49ab2080f71f7616fbb4301220e77dc08abe5fe69cc6c765b4b",
        "ed36fcdec3ecdf2f08b55b6f5796a70982085bddf8a44d6344ca254743ce631c",
        "1813185aa059fda3e874416cebace0c33b50eca60b6082d88f4e16be271e16e8",
    ),
    "seven, grm-rl-7b": (
        "8235cf94bc70c49ab2080f71f7616fbb4301220e77dc08abe5fe69cc6c765b4b",
        "0e69631239ae027d67f965250f74c3aa3d9bcb4cf8a51a944a0b52eb8055f187",
        "03d88470ae779d5f354f0b6a62f42133878df909a0a866a030353af3be6ca44e",
    ),
    "seven, gpt-4o-mini": (
        "8235cf94bc70c49ab2080f71f7616fbb4301220e77dc08abe5fe69cc6c765b4b",
        "f1bceb6c6d221b1ef6ea8a6564710a76d8f1fbbdb2d646ac277275d08a06a92f",
        "3bec19fccd829d52f428ec31d6d5000bfd1c51aec1dc2287828a84f4cb05008f",
    ),
    "seven, another endpoint": (
        "8235cf94bc70c49ab2080f71f7616fbb4301220e77dc08abe5fe69cc6c765b4b",
        "bb51ceb37c991c7e92b8996e76bbd653473a756790d6131464403eb852cd1fdf",
        "8ccf6b9ef5edbf2745dbdf59d1ae6064fbefee65789a303951d7dc09eb359662",
    ),
    "seven under vllm, hash": (
        "63c3a584c487106ec0a8301f64f2f794124dc0321bebe085693f14a537d06746",
        "15104a6039529290ade43ae5281bb221236db4214734b01a8fd9e999e064d9e9",
        "7c722a47d3a335de5dccd47d88506fb583afbdc6ec5cdfa794cdca28366bb88b",
    ),
    "seven under transformers, hash": (
        "9e37124c9bbd30bad3f5cae83ba9c8a8216aad0a3a0be8ec53246b92e6c85d90",
        "a60cddb20d843a817b6203bb68a51f168baf6bcc41780ad020c91571ef11f86f",
        "c68e389fcac44744dae07cf574d40160364f161d94add46c9042e9f2c37992cf",
    ),
    "seven under openai, hash": (
        "1f0c04a38509f5ae3a38043311e497c473af90c6944d832ec350a1391cabafc8",
        "f39fe85deb7235f44e6d44fd91f4beba242e1287ac00adf6a352f5d55a8f5bc5",
        "2da32dbcf1b0418522fad3633d764ba903857b55e05252fcd24e19f75868e69b",
    ),
    "seven under replay, hash": (
        "0c422983b4fba290ada364efa8ab12766180202e100ee53b992c025c933c7797",
        "b23e9b737c629eb4f234db41e46af1ef61771719c12524b1c9a414ea3d0a36c9",
        "60b3576ebf6f31d1fed43be1294f9d53b4749e27dd9316b3fb3863ee0da0fecf",
    ),
}


def test_keys_of_runs_that_were_made_stay_what_they_are() -> None:
    assert all_keys() == KEYS


@pytest.mark.parametrize(
    "settings",
    [
        {"tensor_parallel_size": 8},
        {"data_parallel_size": 8},
        {"max_num_seqs": 64},
        {"enable_prefix_caching": False},
        {"enforce_eager": True},
        {"gpu_memory_utilization": 0.5},
        {"device_map": {"": 0}},
    ],
)
def test_from_one_gpu_to_eight_no_key_changes(settings: dict[str, Any]) -> None:
    panel, judge = panel_of("seven"), judge_of("grm")
    assert judge.model is not None
    models = {name: _running(spec, settings) for name, spec in panel.models.items()}
    moved = panel.model_copy(update={"models": models})
    judging = judge.model_copy(update={"model": _running(judge.model, settings)})
    assert keys_of(moved, judging) == KEYS["seven, grm"]


def test_another_id_for_the_noise_is_another_key() -> None:
    spec = ModelSpec(source="x")
    panel = PanelManifest(name="p", about="", models={"m": spec})
    keys = {
        responses_key(SHARD, "m", spec.model_copy(update={"noise_id": noise}), panel)
        for noise in (None, "m", "policy")
    }
    assert len(keys) == 3


@pytest.mark.parametrize(
    "asked",
    [
        {"system": "think"},
        {"prompt": "Why {question}?"},
        {"template_arguments": {"enable_thinking": True}},
        {"reasoning": {}},
        {"reasoning": {"opened": True}},
        {"max_pixels": 50176},
    ],
)
def test_a_model_that_is_asked_or_read_otherwise_has_other_keys(asked: dict[str, Any]) -> None:
    """Said of the model or, where the panel can say it, of the panel: the same key."""
    fields = {"name": "p", "about": "", "models": {"m": {"source": "x", **asked}}}
    panel = PanelManifest.model_validate(fields)
    plain = PanelManifest(name="p", about="", models={"m": ModelSpec(source="x")})
    key = responses_key(SHARD, "m", panel.models["m"], panel)
    assert key != responses_key(SHARD, "m", plain.models["m"], plain)
    if not {"prompt", "reasoning"} & set(asked):
        whole = PanelManifest.model_validate({**plain.model_dump(), **asked})
        assert responses_key(SHARD, "m", whole.models["m"], whole) == key


def _running(spec: ModelSpec, settings: dict[str, Any]) -> ModelSpec:
    return spec.model_copy(update={"settings": {**spec.settings, **settings}})
