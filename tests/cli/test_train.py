import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from qibox.cli.main import cli
from qibox.cli.recipe_options import OVERRIDES, overridden
from qibox.cli.train import command
from qibox.errors import UsageError
from qibox.manifests import RecipeManifest, load_manifest
from qibox.run.directory import Run
from tests.grpo.conftest import policy, recipe, run

__all__ = ["policy", "recipe", "run"]  # fixtures


def qibox(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_help_shows_an_example() -> None:
    assert "Example: qibox train" in qibox("train", "--help").output


def test_a_dry_run_prints_the_resolved_plan_and_writes_nothing(run: Run, policy: Path) -> None:
    done = qibox(
        *("train", run.storage.url, "--policy", policy, "--steps", 7, "--rollout", "discard"),
        *("--learning-rate", 0.5, "--dry-run"),
    )
    assert done.exit_code == 0, done.output
    plan = yaml.safe_load(done.stdout)
    assert plan["recipe"]["steps"] == 7
    assert plan["recipe"]["learning_rate"] == 0.5
    assert plan["recipe"]["rollout"]["unsafe"] == "discard"
    assert plan["selection_samples"] == 8
    assert run.storage.files("policies") == []


def test_a_dry_run_needs_no_weights(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    recipe = load_manifest(RecipeManifest, "safer-vlm-3b").model_dump(mode="json")
    small = Path(run.storage.url) / "small.yaml"
    small.write_text(yaml.safe_dump({**recipe, "prompts_per_step": 8}))
    done = qibox("train", run.storage.url, "--recipe", small, "--dry-run")
    assert done.exit_code == 0, done.output
    plan = yaml.safe_load(done.stdout)
    assert plan["policy"] == "Qwen/Qwen2.5-VL-3B-Instruct"
    assert plan["policy_revision"] is None
    assert plan["recipe"]["samples_per_prompt"] == 5
    assert plan["judge"]["name"] == "grm"
    assert "# 625 steps of 8 prompts × 5 rollouts: 25,000 rollouts in all" in done.stdout
    assert "are not on this machine" in done.stdout
    real = qibox("train", run.storage.url, "--recipe", small)
    assert isinstance(real.exception, UsageError)
    assert "`qibox fetch Qwen" in str(real.exception)


def test_training_twice_does_nothing_the_second_time(run: Run, policy: Path) -> None:
    arguments = ("train", run.storage.url, "--policy", policy, "--steps", 1, "--name", "mine")
    first = qibox(*arguments)
    assert first.exit_code == 0, first.output
    assert "training 1/1" in first.stderr
    lineage = run.storage.read_text("policies/mine/policy.yaml")
    again = qibox(*arguments)
    assert "nothing to do" in again.stderr
    assert run.storage.read_text("policies/mine/policy.yaml") == lineage
    other = qibox(*arguments, "--seed", 5)
    assert isinstance(other.exception, UsageError)
    assert "another recipe.seed" in str(other.exception)
    seen = qibox(*arguments, "--seed", 5, "--dry-run")
    assert "is there, trained with another recipe.seed: --name or --overwrite" in seen.stdout
    assert "is there already: nothing to do" in qibox(*arguments, "--dry-run").stdout
    assert qibox(*arguments, "--seed", 5, "--overwrite").exit_code == 0
    changed = yaml.safe_load(run.storage.read_text("policies/mine/policy.yaml"))
    assert changed["plan"]["recipe"]["seed"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--selection", "none-such"), "no selection named 'none-such'"),
        (("--recipe", "none-such"), "no recipe manifest named 'none-such'"),
        (("--policy", "builtin:none-such"), "no shipped model named 'none-such'"),
        (("--learning-rate", "-1"), "learning_rate: Input should be greater than 0"),
        (("--report-to", "wandb"), "not installed: pip install wandb (--report-to)"),
        (("--accelerate-config", "none.yaml"), "none.yaml cannot be read"),
    ],
)
def test_wrong_usage_is_one_sentence(run: Run, arguments: tuple[str, ...], message: str) -> None:
    done = qibox("train", run.storage.url, *arguments)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


def test_a_missing_run_is_one_sentence(tmp_path: Path) -> None:
    done = qibox("train", tmp_path / "nowhere")
    assert isinstance(done.exception, UsageError)
    assert "no run at" in str(done.exception)


def test_every_override_reaches_its_field_of_the_recipe() -> None:
    recipe = load_manifest(RecipeManifest, "mini")
    values = {
        "policy": "p",
        "steps": 3,
        "seed": 4,
        "rollout": "plain",
        "reward": "scalar",
        "credit": "recovery",
        "learning_rate": 0.25,
        "updates_per_batch": 2,
        "refill": 3,
        "objective": "lagrangian",
        "cost_limit": 0.125,
        "judge_gpus": 2,
        "lora": 8,
        "second_judge": "hash",
    }
    assert values.keys() == OVERRIDES.keys()
    changed = overridden(recipe, values)
    assert (changed.policy, changed.steps, changed.seed) == ("p", 3, 4)
    assert (changed.rollout.unsafe, changed.credit) == ("plain", "recovery")
    assert changed.lora is not None
    assert changed.lora.rank == 8
    assert changed.monitors.second_judge == "hash"
    assert (changed.reward, changed.learning_rate) == ("scalar", 0.25)
    assert (changed.updates_per_batch, changed.refill) == (2, 3)
    assert (changed.objective, changed.cost_limit) == ("lagrangian", 0.125)
    assert changed.judge_gpus == 2
    assert overridden(recipe, dict.fromkeys(OVERRIDES)) == recipe


def test_the_choices_offered_are_those_of_the_recipe() -> None:
    offered = {
        option.name: option.type.choices
        for option in command.params
        if isinstance(option.type, click.Choice)
    }
    schema = RecipeManifest.model_json_schema()
    rollout = schema["$defs"]["Rollout"]["properties"]
    assert list(offered["rollout"]) == rollout["unsafe"]["enum"]
    assert list(offered["objective"]) == schema["properties"]["objective"]["enum"]
    assert list(offered["credit"]) == schema["properties"]["credit"]["enum"]
    assert list(offered["reward"]) == schema["properties"]["reward"]["enum"]


@pytest.mark.slow
def test_several_processes_are_started_by_one_command(run: Run, policy: Path) -> None:
    """As many as accelerate's configuration says, here."""
    config = Path(run.storage.url, "accelerate.yaml")
    config.write_text("{distributed_type: MULTI_CPU, num_processes: 2, mixed_precision: 'no'}")
    wanted = ("--policy", str(policy), "--steps", "1", "--name", "both")
    wanted = (*wanted, "--accelerate-config", str(config))
    command = [sys.executable, "-m", "qibox.cli", "train", run.storage.url, *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lineage = yaml.safe_load(run.storage.read_text("policies/both/policy.yaml"))
    assert lineage["processes"] == 2
    assert done.stderr.count("training 1/1") == 1  # of several processes one tells


def test_nothing_can_be_pushed(run: Run, policy: Path, tmp_path: Path) -> None:
    from qibox.grpo.configuring import training_arguments

    assert not any("push" in word for option in command.params for word in option.opts)
    assert "No such option" in qibox("train", run.storage.url, "--push").output
    recipe = load_manifest(RecipeManifest, "mini").model_copy(update={"policy": str(policy)})
    arguments = training_arguments(recipe, str(tmp_path))
    assert (arguments.push_to_hub, arguments.report_to) == (False, [])
    assert (arguments.log_completions, arguments.log_completions_hub_repo) == (False, None)
