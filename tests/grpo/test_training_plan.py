from pathlib import Path

import pytest
import yaml

from qibox.engines.sources import fingerprint
from qibox.errors import UsageError
from qibox.grpo.training_plan import resolve_training, trained_already, training_judge
from qibox.manifests import JudgeManifest, RecipeManifest
from qibox.run.directory import Run


def test_a_plan_holds_digests_and_no_path(
    run: Run, recipe: RecipeManifest, oracle: JudgeManifest, policy: Path
) -> None:
    plan = resolve_training(run, "default", recipe, oracle, "mine")
    assert (plan.policy, plan.policy_revision) == (policy.name, fingerprint(policy))
    assert plan.selection_samples == 8
    assert str(policy.parent) not in plan.model_dump_json()


def test_fewer_samples_than_one_step_needs_are_refused(
    run: Run, recipe: RecipeManifest, oracle: JudgeManifest
) -> None:
    wide = recipe.model_copy(update={"prompts_per_step": 9})
    with pytest.raises(UsageError, match=r"8 samples, fewer than .* prompts_per_step 9"):
        resolve_training(run, "default", wide, oracle, "mine")


def test_a_benchmarks_samples_are_refused(
    run: Run, recipe: RecipeManifest, oracle: JudgeManifest
) -> None:
    pool = run.manifest.pool.model_copy(update={"benchmark": True})
    spoiled = Run(run.storage, run.manifest.model_copy(update={"pool": pool}))
    with pytest.raises(UsageError, match="holds samples of mini, a benchmark"):
        resolve_training(spoiled, "default", recipe, oracle, "mine")


def test_the_runs_own_judge_comes_before_a_shipped_one(run: Run, recipe: RecipeManifest) -> None:
    own = run.manifest.judges[0].model_copy(update={"about": "changed in this run"})
    changed = Run(run.storage, run.manifest.model_copy(update={"judges": (own,)}))
    assert training_judge(changed, recipe) == own
    assert training_judge(changed, recipe.model_copy(update={"judge": None})) == own
    shipped = training_judge(changed, recipe.model_copy(update={"judge": "hash"}))
    assert shipped.kind == "hash"


def test_a_policy_is_there_only_once_its_lineage_is(
    run: Run, recipe: RecipeManifest, oracle: JudgeManifest
) -> None:
    plan = resolve_training(run, "default", recipe, oracle, "mine")
    run.storage.write_text("policies/mine/metrics.jsonl", "")  # an unfinished training
    assert not trained_already(run.storage, plan)
    lineage = yaml.safe_dump({"plan": plan.model_dump(mode="json")})
    run.storage.write_text("policies/mine/policy.yaml", lineage)
    assert trained_already(run.storage, plan)
    longer = recipe.model_copy(update={"steps": 7})
    other = resolve_training(run, "default", longer, oracle, "mine")
    with pytest.raises(UsageError, match=r"another recipe\.steps: give .* name, or overwrite"):
        trained_already(run.storage, other)


def test_words_and_memory_shares_make_no_other_policy(
    run: Run, recipe: RecipeManifest, oracle: JudgeManifest
) -> None:
    plan = resolve_training(run, "default", recipe, oracle, "mine")
    lineage = yaml.safe_dump({"plan": plan.model_dump(mode="json")})
    run.storage.write_text("policies/mine/policy.yaml", lineage)
    words = {"about": "said otherwise", "sources": {"steps": "ours"}, "name": "renamed"}
    same = recipe.model_copy(update={**words, "gradient_checkpointing": True})
    assert trained_already(run.storage, resolve_training(run, "default", same, oracle, "mine"))
    judge = oracle.model_copy(update={"about": "said otherwise"})
    assert trained_already(run.storage, resolve_training(run, "default", recipe, judge, "mine"))


def test_a_name_of_policies_before_training_is_refused(
    run: Run, recipe: RecipeManifest, oracle: JudgeManifest
) -> None:
    with pytest.raises(
        UsageError, match=r"may not be 'start-x'.* give another, such as x$"
    ) as told:
        resolve_training(run, "default", recipe, oracle, "start-x")
    assert told.value.fields == ("name",)
