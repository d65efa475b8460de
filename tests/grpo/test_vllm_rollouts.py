"""vLLM itself draws the rollouts of `qibox train`, in a process of its own: it stays in memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from qibox.engines.load import has_vllm
from qibox.manifests import RecipeManifest
from qibox.run.directory import Run

STEPS = 3


@pytest.mark.vllm
@pytest.mark.xdist_group("vllm")
@pytest.mark.skipif(
    not has_vllm(),
    reason="vLLM IS NOT INSTALLED, its rollouts go untested: make setup-vllm adds it",
)
def test_vllm_draws_each_step_with_the_weights_of_that_step(
    run: Run, recipe: RecipeManifest, tmp_path: Path
) -> None:
    """At this rate a step moves the policy far: stale weights would give other log probabilities.

    A policy with random weights would write a picture's token in nearly every rollout, and then its
    forward pass fails; and a loss that gave such tokens their share would differ by 0.02 from vLLM.
    """
    changes = {
        "judge": "hash",
        "steps": STEPS,
        "learning_rate": 3e-3,
        "schedule": "constant",
        "use_vllm": True,
        "vllm": {"max_model_len": 256},
        "max_pixels": 56 * 56,  # pictures are of 84 × 84: vLLM has to shrink them alike
    }
    path = tmp_path / "vllm.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json", exclude_unset=True) | changes))
    command = ["train", run.storage.url, "--recipe", str(path), "--name", "drawn"]
    done = subprocess.run(
        [sys.executable, "-m", "qibox.cli", *command],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr

    lines = run.storage.read_text("policies/drawn/metrics.jsonl").splitlines()
    steps = [json.loads(line) for line in lines]
    assert len(steps) == STEPS
    assert steps[-1]["kl"] > 0.03  # the policy is far from where it started
    for step in steps:
        assert step["sampling/sampling_logp_difference/mean"] < 0.005
        assert step["sampling/importance_sampling_ratio/max"] < 1.2
        assert step["sampling/importance_sampling_ratio/min"] > 0.8  # of tokens, none masked
    files = run.storage.files("policies/drawn/rollouts")
    rows = pa.concat_tables([run.storage.read_table(file) for file in files]).to_pylist()
    assert len(rows) == STEPS * 2 * 3  # steps × prompts × K
    assert any(row["reflection"] is not None for row in rows)
