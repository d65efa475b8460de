"""Adapters: what they train, what is saved, and that a stopped training of them goes on."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from qibox.errors import UsageError
from qibox.grpo.adapters import adapter_settings
from qibox.grpo.train import make_trainer, training_arguments
from qibox.manifests.recipe import Lora, RecipeManifest
from qibox.run.directory import Run
from qibox.selection.read import read_selection
from tests.grpo.test_resume import killed, train_named, weights

LINEAR = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.fixture
def adapted(recipe: RecipeManifest) -> RecipeManifest:
    changes: dict[str, Any] = {"lora": Lora(rank=2, keep=True), "steps": 4, "policy": recipe.policy}
    return recipe.model_copy(update=changes)


@pytest.mark.slow
def test_killed_and_resumed_adapters_end_with_the_same_weights(
    run: Run, adapted: RecipeManifest
) -> None:
    train_named(run, adapted, "unbroken")
    killed(run, adapted, "stopped", "written", "checkpoints/000004/optimizer.pt")
    kept = run.storage.files("policies/stopped/training/checkpoints/000002")
    assert any(file.endswith("adapter_model.safetensors") for file in kept)
    assert not any(file.endswith("/model.safetensors") for file in kept)
    train_named(run, adapted, "stopped")
    assert weights(run, "stopped") == weights(run, "unbroken")
    _is_start_plus_adapters(run, adapted)


def _is_start_plus_adapters(run: Run, recipe: RecipeManifest) -> None:
    """W + alpha / rank · B·A in the language model's linear layers, all else as it was."""
    folder = Path(run.storage.path("policies/unbroken"))
    start = AutoModelForImageTextToText.from_pretrained(recipe.policy).state_dict()
    saved = AutoModelForImageTextToText.from_pretrained(folder / "model").state_dict()
    adapter = load_file(folder / "adapter" / "adapter_model.safetensors")
    moved = {name for name in start if not torch.equal(start[name], saved[name])}
    assert {name.split(".")[-2] for name in moved} == LINEAR
    for name in moved:
        assert "language_model" in name
        at = f"base_model.model.{name.removesuffix('.weight')}"
        product = adapter[f"{at}.lora_B.weight"] @ adapter[f"{at}.lora_A.weight"]
        assert torch.allclose(
            saved[name], start[name] + 2.0 * product, atol=1e-7
        )  # alpha 4, rank 2
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == Path(recipe.policy).name  # no path of this machine


@pytest.mark.parametrize("frozen", ["float32", "bfloat16"])
def test_the_reference_is_the_disabled_adapter_and_learns_nothing(
    run: Run, adapted: RecipeManifest, tmp_path: Path, frozen: Any
) -> None:
    lora = Lora(rank=2, frozen=frozen)
    recipe = adapted.model_copy(update={"lora": lora, "bf16": frozen == "bfloat16"})
    arguments = training_arguments(recipe, str(tmp_path))
    selection = read_selection(run.storage, "default")
    trainer = make_trainer(recipe, selection, lambda *_: [], lambda rows: None, arguments)
    assert trainer.beta > 0
    assert trainer.ref_model is None
    learning = {n: p for n, p in trainer.model.named_parameters() if p.requires_grad}
    assert all("lora_" in name and p.dtype == torch.float32 for name, p in learning.items())
    assert {name.split(".lora_")[0].split(".")[-1] for name in learning} == LINEAR
    still = [p for p in trainer.model.parameters() if not p.requires_grad]
    assert {p.dtype for p in still} == {getattr(torch, frozen)}


def test_a_target_that_can_have_no_adapter_is_refused_by_name(policy: Path) -> None:
    model = AutoModelForImageTextToText.from_pretrained(policy)
    assert set(adapter_settings(Lora(rank=1, targets=("q_proj",)), model).target_modules) == {
        "q_proj"
    }
    for name in ("lm_head", "nothing"):
        with pytest.raises(UsageError, match=f"lora.targets has '{name}'.*q_proj"):
            adapter_settings(Lora(rank=1, targets=(name,)), model)
    assert adapter_settings(None, model) is None
