"""Trackers are told only when asked, and only what was measured."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from qibox.errors import UsageError
from qibox.grpo.reporting import reporters
from qibox.grpo.train import train
from qibox.grpo.training_plan import resolve_training
from qibox.manifests import JudgeManifest, RecipeManifest
from qibox.run.directory import Run

pytestmark = pytest.mark.usefixtures("policy")  # which makes torchvision importable


def test_nothing_is_reported_unless_asked() -> None:
    assert reporters(()) == reporters(("none",)) == []


def test_an_unknown_tracker_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no tracker is named 'wand': there are .*wandb.*; all"):
        reporters(("wand",))
    with pytest.raises(UsageError, match="no tracker is named 'none'"):
        reporters(("tensorboard", "none"))


@pytest.mark.parametrize(
    ("name", "package"),
    [("wandb", "wandb"), ("comet_ml", "comet-ml"), ("azure_ml", "azureml-core")],
)
def test_a_tracker_without_its_package_is_refused_with_its_installation(
    name: str, package: str
) -> None:
    with pytest.raises(
        UsageError, match=f"{name} is asked for and is not .* pip install {package}$"
    ):
        reporters((name,))


def test_tensorboard_is_told_what_was_measured_and_no_text_of_a_rollout(
    run: Run, recipe: RecipeManifest, oracle: JudgeManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for name in ("TENSORBOARD_LOGGING_DIR", "WANDB_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    disabled = []
    plan = resolve_training(run, "default", recipe, oracle, "told")
    train(
        *(run, plan, recipe),
        lambda *_: disabled.append(os.environ.get("WANDB_DISABLED")),
        report_to=("tensorboard",),
    )
    assert disabled == ["1", "1"]  # it was not asked for
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ
    events: Any = EventAccumulator(run.storage.path("policies/told/tensorboard"))
    events.Reload()
    lines = run.storage.read_text("policies/told/metrics.jsonl").splitlines()
    for name in ("loss", "reward", "unsafe_drafts"):
        told = [(event.step, event.value) for event in events.Scalars(f"train/{name}")]
        assert told == [
            (line["step"], pytest.approx(line[name])) for line in map(json.loads, lines)
        ]
    assert {tag.split("/")[0] for tag in events.Tags()["tensors"]} == {"args", "model_config"}
    assert not list(Path(run.storage.path("policies/told")).rglob("training"))
