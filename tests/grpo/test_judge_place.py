"""Where a training's judge may run, and a judge on a server of the training's own."""

from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from qibox.engines.load import has_vllm
from qibox.errors import UsageError
from qibox.grpo import judge_place
from qibox.grpo.judge_place import check_place, needs_cards, settled_judge
from qibox.grpo.train import train
from qibox.grpo.training_plan import resolve_training
from qibox.judges.placing import at_place
from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.run.directory import Run
from tests.cli.test_train import qibox
from tests.endpoint import serving
from tests.evaluation.test_vllm_eval import engines, vllm_judge
from tests.grpo.test_resume import rollouts

grm = load_manifest(JudgeManifest, "grm")


def test_a_vllm_judge_beside_the_training_is_refused_before_anything_is_loaded(
    run: Run, policy: Path
) -> None:
    recipe = load_manifest(RecipeManifest, "mini").model_dump(mode="json")
    path = Path(run.storage.url) / "own.yaml"
    path.write_text(yaml.safe_dump({**recipe, "judge": "grm", "policy": str(policy)}))
    done = qibox("train", run.storage.url, "--recipe", path)
    assert isinstance(done.exception, UsageError)
    said = str(done.exception)
    assert "judge 'grm' is run by vLLM and would share no card here with the training" in said
    assert "`qibox serve grm --gpus N` and say where it is, such as at http://127.0.0.1" in said
    assert said.endswith("(--judge-at, --judge-gpus)")
    assert run.storage.files("policies") == []


@pytest.mark.parametrize(
    ("cards", "own", "processes", "message"),
    [
        (1, 0, 1, "would share the one card here"),
        (4, 0, 2, "would share 4 cards here.*give it cards of its own"),
        (1, 1, 1, "judge_gpus 1 and a card for each of 1 training processes are 2, and 1 is"),
        (4, 2, 3, "are 5, and 4 are visible"),
        (4, 2, 2, None),
        (0, 1, 1, None),
    ],
)
def test_a_judge_has_cards_of_its_own_or_none(
    recipe: RecipeManifest,
    monkeypatch: pytest.MonkeyPatch,
    cards: int,
    own: int,
    processes: int,
    message: str | None,
) -> None:
    monkeypatch.setattr(judge_place, "visible_gpus", lambda: [str(i) for i in range(cards)])
    recipe = recipe.model_copy(update={"judge_gpus": own})
    if message is None:
        check_place(grm, recipe, processes)
    else:
        with pytest.raises(UsageError, match=message):
            check_place(grm, recipe, processes)
    check_place(at_place(grm, "http://127.0.0.1:8000/v1"), recipe, processes)


def test_judges_without_vllm_need_no_cards() -> None:
    assert needs_cards(grm)
    for name in ("oracle", "hash", "gpt-4o-mini"):
        judge = load_manifest(JudgeManifest, name)
        assert not needs_cards(judge)
        assert settled_judge(judge) == judge


def test_a_training_asks_the_judge_where_it_is_served(run: Run, policy: Path) -> None:
    """Through the command line; the plan knows the judge, not its address."""
    folder = Path(run.storage.url)
    judge: dict[str, Any] = grm.model_dump(mode="json")
    judge["model"] |= {"source": "grm", "revision": "abc"}
    (folder / "judge.yaml").write_text(yaml.safe_dump(judge))
    recipe = load_manifest(RecipeManifest, "mini").model_dump(mode="json")
    recipe |= {"judge": str(folder / "judge.yaml"), "policy": str(policy), "steps": 1}
    (folder / "own.yaml").write_text(yaml.safe_dump(recipe))
    with serving() as endpoint:
        done = qibox(
            *("train", run.storage.url, "--recipe", folder / "own.yaml", "--name", "mine"),
            *("--judge-at", endpoint.url),
        )
        assert done.exit_code == 0, done.output
        assert endpoint.take_asked("grm")
    table = rollouts(run, "mine")
    assert table["final_score"].null_count == 0
    lineage = run.storage.read_text("policies/mine/policy.yaml")
    assert endpoint.url not in lineage
    assert yaml.safe_load(lineage)["plan"]["judge"]["model"]["revision"] == "abc"
    nobody = qibox(
        *("train", run.storage.url, "--recipe", folder / "own.yaml", "--name", "other"),
        *("--judge-at", endpoint.url),
    )
    assert "start it with `qibox serve grm`" in str(nobody.exception)


@pytest.mark.vllm
@pytest.mark.xdist_group("vllm")
@pytest.mark.skipif(not has_vllm(), reason="vLLM IS NOT INSTALLED: make setup-vllm adds it")
def test_a_training_starts_and_ends_its_judges_own_server(
    run: Run, recipe: RecipeManifest, tmp_path: Path
) -> None:
    recipe = recipe.model_copy(update={"judge_gpus": 1, "steps": 1})
    judge = settled_judge(vllm_judge(tmp_path))
    assert judge.model is not None
    assert str(judge.model.revision).startswith("sha256:")
    check_place(judge, recipe, 1)
    during: list[int] = []
    plan = resolve_training(run, "default", recipe, judge, "mine")
    train(run, plan, recipe, lambda step, metrics: during.append(servers()))
    assert during == [1]
    assert (servers(), engines()) == (0, 0)
    table = rollouts(run, "mine")
    assert len(table) == 6
    for row in table.to_pylist():
        assert (row["draft_score"] is None) == (row["draft_safe"] is None)
    assert table["draft_score"].null_count < 6


def servers() -> int:
    """How many servers this process has started and not ended."""
    children = psutil.Process().children(recursive=True)
    return sum("vllm.entrypoints.openai.api_server" in child.cmdline()[:3] for child in children)
