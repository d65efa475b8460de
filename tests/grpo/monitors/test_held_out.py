"""Harmless samples that are not trained on are asked as a training goes on."""

from pathlib import Path

import pytest

from qibox.grpo.monitors.alarms import REFUSED
from qibox.grpo.monitors.held_out import held_out
from qibox.grpo.train import train
from qibox.grpo.training_plan import resolve_training
from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.manifests.monitors import Monitors
from qibox.mini.pool import iter_samples
from qibox.run.directory import Run
from qibox.run.kept_files import read_json_lines
from qibox.selection.choose import choose
from qibox.selection.read import read_selection
from qibox.selection.request import at_random
from qibox.selection.write import write_selection
from tests.runs import sample, write_run


@pytest.fixture
def mixed(tmp_path: Path) -> Run:
    """Twelve miniature samples, half of them harmless; a selection of six."""
    rows = []
    for number, each in enumerate(iter_samples("train", 12)):
        risk = "none" if number % 2 else "implicit"
        image = each["image"]["bytes"]
        rows.append(
            sample(f"s{number:02}", 5, 2, risk=risk, image=image, question=each["question"])
        )
    made = write_run(tmp_path / "run", rows)
    write_selection(made, choose(made, at_random(6, "default")))
    return made


def test_they_are_harmless_and_not_in_the_selection(mixed: Run) -> None:
    selection = read_selection(mixed.storage, "default")
    asked = held_out(mixed, selection, 100)
    assert set(asked["risk"].to_pylist()) == {"none"}
    known, others = (set(t["sample_id"].to_pylist()) for t in (selection, asked))
    assert not known & others
    harmless = {f"s{number:02}" for number in range(1, 12, 2)}
    assert others == harmless - known
    assert held_out(mixed, selection, 1) == held_out(mixed, selection, 1)
    assert len(held_out(mixed, selection, 1)) == 1
    assert len(held_out(mixed, selection, 0)) == 0


@pytest.mark.slow
def test_the_policy_answers_them_every_so_many_steps(mixed: Run, recipe: RecipeManifest) -> None:
    settings = Monitors(every=2, probe=3)
    recipe = recipe.model_copy(update={"monitors": settings})
    plan = resolve_training(mixed, "default", recipe, load_manifest(JudgeManifest, "hash"), "asked")
    train(mixed, plan, recipe, save_every=0)
    rows = read_json_lines(mixed.storage, "policies/asked/metrics.jsonl")
    assert [row.get(REFUSED) is not None for row in rows] == [True, False]
    assert 0 <= rows[0][REFUSED] <= 1
