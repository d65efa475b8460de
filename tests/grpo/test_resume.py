"""A training that is killed and started again ends as one that never was."""

import json
import signal
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from qibox.errors import UsageError
from qibox.grpo.train import train
from qibox.grpo.training_plan import TrainingPlan, resolve_training
from qibox.grpo.unfinished import Unfinished
from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.run.directory import Run
from qibox.run.storage import Storage
from tests.forked import TRAINING, start


def train_named(run: Run, recipe: RecipeManifest, name: str) -> None:
    plan = planned(run, recipe, name)
    train(run, plan, recipe, save_every=2, overwrite=True)


def planned(run: Run, recipe: RecipeManifest, name: str) -> TrainingPlan:
    judge = load_manifest(JudgeManifest, "hash")
    return resolve_training(run, "default", recipe, judge, name)


def killed(run: Run, recipe: RecipeManifest, name: str, how: str, ending: str) -> None:
    path = Path(run.storage.url, "recipe.yaml")
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    asked = (run.storage.url, path, name, how, ending)
    process = start(TRAINING, "tests.grpo.killed:main", *asked)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said


def weights(run: Run, name: str) -> bytes:
    return Path(run.storage.path(f"policies/{name}/model/model.safetensors")).read_bytes()


def rollouts(run: Run, name: str) -> pa.Table:
    files = run.storage.files(f"policies/{name}/rollouts")
    keys = [("step", "ascending"), ("sample_id", "ascending"), ("k", "ascending")]
    return pa.concat_tables([run.storage.read_table(file) for file in files]).sort_by(keys)


@pytest.mark.slow
def test_killed_at_three_moments_and_resumed_it_ends_with_the_same_weights(
    run: Run, recipe: RecipeManifest
) -> None:
    recipe = recipe.model_copy(
        update={"steps": 5, "updates_per_batch": 2, "policy": str(Path(recipe.policy))}
    )
    train_named(run, recipe, "unbroken")
    moments = {
        "in-a-checkpoint": ("written", "checkpoints/000004/optimizer.pt"),
        "with-rows-after-it": ("written", "rollouts/part-000005.parquet"),
        "in-its-place-by-half": ("moved", "model/model.safetensors"),
    }
    for name, (how, ending) in moments.items():
        killed(run, recipe, name, how, ending)
        assert not run.storage.exists(f"policies/{name}/policy.yaml")
        train_named(run, recipe, name)
        assert weights(run, name) == weights(run, "unbroken")
        assert rollouts(run, name).equals(rollouts(run, "unbroken"))
        lines = run.storage.read_text(f"policies/{name}/metrics.jsonl").splitlines()
        assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5]
        assert not run.storage.exists(f"policies/{name}/training")
    assert len(rollouts(run, "unbroken")) == 5 * 2 * 3


def test_the_old_policy_stays_until_the_new_one_is_whole(run: Run, recipe: RecipeManifest) -> None:
    train_named(run, recipe, "mine")
    before = weights(run, "mine")
    other = recipe.model_copy(update={"seed": 1})
    killed(run, other, "mine", "written", "training/model/model.safetensors")
    assert weights(run, "mine") == before
    assert run.storage.exists("policies/mine/policy.yaml")
    train_named(run, other, "mine")
    assert weights(run, "mine") != before
    lineage = yaml.safe_load(run.storage.read_text("policies/mine/policy.yaml"))
    assert lineage["plan"]["recipe"]["seed"] == 1
    there = {file.removeprefix("policies/mine/") for file in run.storage.files("policies/mine")}
    assert there == {*lineage["files"], "policy.yaml"}


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage(tmp_path if request.param == "local" else f"memory://{tmp_path.name}")


def files_of(folder: Path, **texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.bin").write_text(text)
    return folder


def test_a_checkpoint_without_its_last_file_is_not_there(
    storage: Storage, run: Run, recipe: RecipeManifest, tmp_path: Path
) -> None:
    work = Unfinished(storage, "mine")
    work.claim(planned(run, recipe, "mine"), overwrite=False)
    work.write_metrics([{"step": 1}, {"step": 2}, {"step": 3}])
    work.save(files_of(tmp_path / "one", model="1"), 1, {"multiplier": 0.1})
    work.save(files_of(tmp_path / "two", model="2"), 2, {"multiplier": 0.2})
    assert work.last_checkpoint() == 2
    half = f"{work.folder}/checkpoints/000003"
    storage.write_text(f"{half}/model.bin", "3")
    assert not [file for file in storage.files(work.folder) if "000001" in file]
    assert work.restore(tmp_path / "restored") == (2, {"multiplier": 0.2})
    assert (tmp_path / "restored" / "model.bin").read_text() == "2"
    assert work.metrics() == [{"step": 1}, {"step": 2}]


def test_settling_replaces_the_old_policy_and_leaves_nothing_of_it(
    storage: Storage, run: Run, recipe: RecipeManifest
) -> None:
    storage.write_text("policies/mine/policy.yaml", "old")
    storage.write_text("policies/mine/model/old.bin", "old")
    storage.write_text("policies/mine/model/both.bin", "old")
    work = Unfinished(storage, "mine")
    assert not work.settle()
    work.claim(planned(run, recipe, "mine"), overwrite=False)
    storage.write_text(f"{work.folder}/model/both.bin", "new")
    work.finish({"plan": {}})
    names = ["metrics.jsonl", "model/both.bin", "policy.yaml"]
    assert storage.files("policies/mine") == [f"policies/mine/{name}" for name in names[1:]]
    assert storage.read_text("policies/mine/model/both.bin") == "new"


def test_checkpoints_of_another_training_are_not_dropped_silently(
    storage: Storage, run: Run, recipe: RecipeManifest, tmp_path: Path
) -> None:
    work = Unfinished(storage, "mine")
    work.claim(planned(run, recipe, "mine"), overwrite=False)
    other = planned(run, recipe.model_copy(update={"steps": 9}), "mine")
    work.claim(other, overwrite=False)  # nothing was kept yet
    work.save(files_of(tmp_path / "one", model="1"), 1, {})
    work.claim(other, overwrite=False)
    assert work.last_checkpoint() == 1
    with pytest.raises(UsageError, match=r"unfinished training with another recipe\.steps"):
        work.claim(planned(run, recipe, "mine"), overwrite=False)
    work.claim(planned(run, recipe, "mine"), overwrite=True)
    assert work.last_checkpoint() is None
