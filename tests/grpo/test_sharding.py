"""accelerate's configuration: what it may not contradict, and FSDP on two CPU processes."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from qibox.errors import UsageError
from qibox.grpo.sharding import apply_config, check_config, read_config
from qibox.grpo.train import train
from qibox.grpo.training_plan import resolve_training
from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.manifests.recipe import Lora
from qibox.run.directory import Run
from tests.grpo.replayed import recorded_writer

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
FSDP = {
    "compute_environment": "LOCAL_MACHINE",
    "distributed_type": "FSDP",
    "mixed_precision": "no",
    "num_machines": 1,
    "num_processes": 2,
    "fsdp_config": {
        "fsdp_version": 2,
        "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "fsdp_cpu_ram_efficient_loading": False,
        "fsdp_state_dict_type": "SHARDED_STATE_DICT",
    },
}
ZERO = {"zero_stage": 3, "zero3_save_16bit_model": True, "gradient_clipping": 1.0}


@pytest.fixture
def environment() -> Iterator[None]:
    """Put the environment back when the test is over."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def written(path: Path, config: Any) -> str:
    path.write_text(yaml.safe_dump(config))
    return str(path)


def metrics(run: Run, name: str) -> list[Any]:
    lines = run.storage.read_text(f"policies/{name}/metrics.jsonl").splitlines()
    return [json.loads(line) for line in lines]


def test_shared_weights_learn_what_whole_ones_do_are_resumed_and_saved_whole(
    run: Run, recipe: RecipeManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a reference model: the recipe's beta is above 0."""
    from transformers import AutoModelForImageTextToText

    from qibox.grpo import trainer

    assert recipe.beta > 0
    recipe = recipe.model_copy(update={"samples_per_prompt": 4, "steps": 4})
    monkeypatch.setattr(trainer, "PolicyWriter", recorded_writer())
    judge = load_manifest(JudgeManifest, "hash")
    train(run, resolve_training(run, "default", recipe, judge, "alone"), recipe)
    config = written(tmp_path / "fsdp.yaml", FSDP)
    path = written(tmp_path / "recipe.yaml", recipe.model_dump(mode="json"))
    ours = ("-m", "tests.grpo.sharded", config, run.storage.url, path, "shared")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    command = [sys.executable, *torchrun, *ours]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lineage = yaml.safe_load(run.storage.read_text("policies/shared/policy.yaml"))
    assert (lineage["processes"], lineage["sharded_by"]) == (2, "fsdp 2")
    assert [line["step"] for line in metrics(run, "shared")] == [1, 2, 3, 4]
    for name in ("loss", "reward", "kl", "grad_norm"):
        assert [line[name] for line in metrics(run, "shared")] == pytest.approx(
            [line[name] for line in metrics(run, "alone")], rel=1e-4, abs=1e-6
        ), name
    start, alone, shared = (
        AutoModelForImageTextToText.from_pretrained(folder).state_dict()
        for folder in (
            recipe.policy,
            *(run.storage.path(f"policies/{name}/model") for name in ("alone", "shared")),
        )
    )
    assert shared.keys() == alone.keys()
    assert all(torch.allclose(shared[name], alone[name], atol=2e-5) for name in alone)
    assert sum(not torch.equal(shared[name], start[name]) for name in start) > len(start) / 2


@pytest.mark.parametrize(
    ("config", "of_recipe", "says"),
    [
        ({"num_processes": 4}, {}, "num_processes 4, and 2 are started"),
        ({"distributed_type": "MEGATRON_LM"}, {}, "distributed_type MEGATRON_LM"),
        ({"num_machines": 2}, {}, "num_machines 2: start torchrun"),
        ({"mixed_precision": "bf16"}, {}, "mixed_precision bf16 and the recipe bf16: false"),
        (
            {"mixed_precision": False},
            {"bf16": True},
            "mixed_precision no and the recipe bf16: true",
        ),
        (
            {"fsdp_config": {"fsdp_activation_checkpointing": True}},
            {"gradient_checkpointing": True},
            "fsdp_activation_checkpointing and the recipe gradient_checkpointing: use one",
        ),
        (
            {"fsdp_config": {"fsdp_version": 1}},
            {"lora": Lora(rank=2, frozen="bfloat16")},
            "fsdp_version 1, .* and the recipe lora.frozen bfloat16: set fsdp_version: 2",
        ),
        (
            {"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 3}},
            {},
            "zero_stage 3 without zero3_save_16bit_model: true",
        ),
        (
            {
                "distributed_type": "DEEPSPEED",
                "deepspeed_config": {**ZERO, "gradient_clipping": 2.0},
            },
            {},
            "gradient_clipping 2.0 and the recipe max_grad_norm 1.0",
        ),
    ],
)
def test_what_contradicts_the_recipe_is_one_sentence(
    recipe: RecipeManifest, config: Any, of_recipe: Any, says: str
) -> None:
    check_config(FSDP, recipe, 2)
    check_config({"distributed_type": "DEEPSPEED", "deepspeed_config": ZERO}, recipe, 2)
    with pytest.raises(UsageError, match=f"accelerate's configuration has {says}"):
        check_config({**FSDP, **config}, recipe.model_copy(update=of_recipe), 2)


def test_one_process_has_nobody_to_share_with(recipe: RecipeManifest) -> None:
    with pytest.raises(UsageError, match="FSDP, and one process has nobody to share with"):
        check_config({**FSDP, "num_processes": 1}, recipe, 1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[1, 2]", "is no configuration of accelerate"),
        ("{a: ", "cannot be read"),
        ("{distributed_type: FSDP, fsdp_confg: {}}", "accelerate does not take .*fsdp_confg"),
    ],
)
def test_a_file_that_is_none_of_accelerates_is_refused(
    tmp_path: Path, content: str, says: str
) -> None:
    path = tmp_path / "odd.yaml"
    with pytest.raises(UsageError, match="cannot be read"):
        read_config(str(path))
    path.write_text(content)
    with pytest.raises(UsageError, match=says):
        read_config(str(path))


def test_where_accelerate_would_pass_over_fsdp_the_training_is_refused(
    run: Run, recipe: RecipeManifest, tmp_path: Path, environment: None
) -> None:
    config = written(tmp_path / "fsdp.yaml", FSDP)
    apply_config(config, read_config(config), 2)
    plan = resolve_training(run, "default", recipe, load_manifest(JudgeManifest, "hash"), "shared")
    with pytest.raises(UsageError, match="FSDP, which accelerate does among accelerators alone"):
        train(run, plan, recipe)
    assert not run.storage.exists("policies/shared/training/plan.yaml")


@pytest.mark.skipif(importlib.util.find_spec("deepspeed") is not None, reason="it is installed")
def test_a_missing_deepspeed_is_one_sentence(tmp_path: Path) -> None:
    config = {**FSDP, "distributed_type": "DEEPSPEED", "deepspeed_config": ZERO}
    path = written(tmp_path / "zero.yaml", config)
    with pytest.raises(UsageError, match="DeepSpeed, which is not installed: pip install deeps"):
        apply_config(path, read_config(path), 2)
