"""Two processes on the CPU do what one does with the same completions."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from qibox.manifests import RecipeManifest
from qibox.run.directory import Run

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


def replayed(run: Run, recipe: RecipeManifest, name: str, *launcher: str) -> list[Any]:
    """Train on recorded completions; the lines of metrics.jsonl."""
    path = Path(run.storage.url, "recipe.yaml")
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    ours = ("-m", "tests.grpo.replayed", run.storage.url, str(path), name)
    command = [sys.executable, *launcher, *ours]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = run.storage.read_text(f"policies/{name}/metrics.jsonl").splitlines()
    return [json.loads(line) for line in lines]


def rows(run: Run, name: str) -> list[Any]:
    files = run.storage.files(f"policies/{name}/rollouts")
    table = pa.concat_tables([run.storage.read_table(file) for file in files])
    return table.sort_by([(key, "ascending") for key in ("step", "sample_id", "k")]).to_pylist()


@pytest.mark.parametrize("prompts", [2, 3])  # three: the second one's group lies in both processes
def test_two_processes_learn_what_one_learns(
    run: Run, recipe: RecipeManifest, prompts: int
) -> None:
    recipe = recipe.model_copy(
        update={"prompts_per_step": prompts, "samples_per_prompt": 4, "steps": 3}
    )
    alone = replayed(run, recipe, "alone")
    both = replayed(run, recipe, "both", *TORCHRUN)
    lineage = yaml.safe_load(run.storage.read_text("policies/both/policy.yaml"))
    assert lineage["processes"] == 2
    for name in ("loss", "reward", "unsafe_drafts", "corrected", "zero_variance", "kl"):
        assert [line[name] for line in both] == pytest.approx(
            [line[name] for line in alone], rel=1e-5, abs=1e-7
        ), name
    one, two = rows(run, "alone"), rows(run, "both")
    assert len(one) == len(two) == 3 * prompts * 4
    for ours, theirs in zip(one, two, strict=True):
        for name in ("draft", "final", "reward", "draft_advantage", "recovery_advantage"):
            assert ours[name] == pytest.approx(theirs[name])
