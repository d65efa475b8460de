"""A real training that raises an alarm: told of, stopped and gone on, or rolled back."""

from pathlib import Path
from typing import Any

import pytest

from qibox.catalog.connect import reading
from qibox.errors import QiboxError
from qibox.grpo.train import train
from qibox.grpo.training_plan import resolve_training
from qibox.grpo.unfinished import Unfinished
from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.manifests.monitors import Monitors
from qibox.policies.directory import read_lineage
from qibox.run.directory import Run
from qibox.run.kept_files import read_json_lines

JUMPY = Monitors(window=1, every=2, second_judge="hash", kl=1e-6)  # any step at all is too far


def trained(run: Run, recipe: RecipeManifest, name: str, **conduct: Any) -> list[str]:
    """Train three steps, and what was told."""
    told: list[str] = []
    recipe = recipe.model_copy(update={"steps": 3, "beta": 0.01, "monitors": JUMPY})
    plan = resolve_training(run, "default", recipe, load_manifest(JudgeManifest, "hash"), name)
    train(run, plan, recipe, tell=told.append, save_every=1, **conduct)
    return [each for each in told if each.startswith("Alarm")]


def weights(run: Run, name: str) -> bytes:
    return Path(run.storage.path(f"policies/{name}/model/model.safetensors")).read_bytes()


def asked(run: Run, query: str) -> list[tuple[Any, ...]]:
    with reading(run) as connection:
        return connection.sql(query).fetchall()


@pytest.mark.slow
def test_an_alarm_is_told_kept_and_acted_on(run: Run, recipe: RecipeManifest) -> None:
    (told,) = trained(run, recipe, "warned")
    assert told.startswith("Alarm, instability: after step 2 the policy is ")
    query = (
        "select policy, step, monitor, value > threshold from alarms where monitor <> 'template'"
    )
    assert asked(run, query) == [("warned", 2, "instability", True)]
    rows = read_json_lines(run.storage, "policies/warned/metrics.jsonl")
    assert [row.get("second_score") is not None for row in rows] == [True, False, True]
    # the same judge twice: of the same responses it says the same
    assert rows[0]["second_score"] == pytest.approx(rows[0]["second_reward"])

    with pytest.raises(QiboxError, match=r"after step 2 .* a checkpoint after step 2 is kept"):
        trained(run, recipe, "stopped", on_alarm="stop")
    assert Unfinished(run.storage, "stopped").last_checkpoint() == 2
    assert trained(run, recipe, "stopped", on_alarm="stop") == []  # it has told what it had to
    assert weights(run, "stopped") == weights(run, "warned")
    assert len(asked(run, "select * from alarms where policy = 'stopped'")) == 1

    trained(run, recipe, "back", on_alarm="rollback", snapshots=[1])
    lineage = read_lineage(run.storage, "back")
    assert lineage is not None
    assert lineage["rolled_back"]["step"] == 1
    assert weights(run, "back") == weights(run, "back-at-1") != weights(run, "warned")
    assert asked(run, "select max(step) from rollouts where policy = 'back'") == [(1,)]
    assert asked(run, "select step from alarms where policy = 'back'") == [(2,)]
