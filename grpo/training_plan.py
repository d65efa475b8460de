"""What a training is made of, resolved, before anything heavy is loaded.

Reads a run, one of its selections, a recipe and a judge's manifest; refuses what must not be
trained. The plan is written into the policy's lineage, and its equality decides whether a policy is
already there.
"""

from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from huggingface_hub import try_to_load_from_cache

from qibox.engines.hub import commit_or_given, hub_commit
from qibox.engines.sources import fingerprint, local_directory
from qibox.errors import UsageError
from qibox.evaluation.contamination import refuse_benchmarks
from qibox.fields import changed
from qibox.judges.chosen import chosen_judges
from qibox.manifests.common import Checked, Identifier, check_name
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.recipe import RecipeManifest
from qibox.policies.directory import read_lineage
from qibox.policies.running import START
from qibox.run.directory import Run
from qibox.run.kept_files import check_files
from qibox.run.layout import policy_path
from qibox.run.storage import Storage
from qibox.selection.read import read_selection, selection_digest


class TrainingPlan(Checked):
    """Everything that determines a trained policy; holds no path of this machine."""

    name: Identifier
    recipe: RecipeManifest
    judge: JudgeManifest
    policy: str  # the start policy: hub id, builtin:<name>, or the name of a directory
    policy_revision: str | None  # hub commit, or sha256:… of a directory's files; null: a preview's
    selection: str
    selection_sha256: str
    selection_samples: int


def resolve_training(
    run: Run,
    selection: str,
    recipe: RecipeManifest,
    judge: JudgeManifest,
    name: str,
    *,
    preview: bool = False,
) -> TrainingPlan:
    """Resolve a training, and check that it may be done.

    A ``preview`` is to be read by a person: a start policy on the hub that is not at hand leaves
    its revision null there, and stops nothing.

    Raises:
        UsageError: no such selection, samples that come from a benchmark, too few samples for one
            step, or a start policy that cannot be found.
    """
    check_name(name, "a policy")
    _refuse_missing_parts(recipe, judge)
    if name.startswith(START):
        raise UsageError(
            f"a policy's name may not be '{name}': those that begin with {START} are of policies "
            f"before training; give another, such as {name.removeprefix(START) or 'default'}",
            fields=["name"],
        )
    table = read_selection(run.storage, selection)
    refuse_benchmarks(run.manifest.pool, filter(None, pc.unique(table["source"]).to_pylist()))
    if len(table) < recipe.prompts_per_step:
        raise UsageError(
            f"selection '{selection}' has {len(table)} samples, fewer than the recipe's "
            f"prompts_per_step {recipe.prompts_per_step}: widen the box or lower prompts_per_step"
        )
    policy, revision = _identity(recipe, preview)
    return TrainingPlan(
        name=name,
        recipe=recipe.model_copy(update={"policy": policy, "revision": None}),
        judge=judge,
        policy=policy,
        policy_revision=revision,
        selection=selection,
        selection_sha256=selection_digest(run.storage, selection),
        selection_samples=len(table),
    )


def _refuse_missing_parts(recipe: RecipeManifest, judge: JudgeManifest) -> None:
    """Refuse a reward that is made of parts which this judge's verdicts do not have."""
    if judge.gives_criteria:
        return
    if recipe.objective == "lagrangian" or recipe.reward == "scalar":
        lagrangian = recipe.objective == "lagrangian"
        wanted = "objective lagrangian" if lagrangian else "reward scalar"
        part = "ratings of harmlessness and helpfulness" if lagrangian else "a score of the answer"
        raise UsageError(
            f"{wanted} needs {part}, and judge '{judge.name}' ({judge.kind}) gives one score of "
            "the whole response: take objective reward and reward structured, or another judge in "
            "the recipe",
            fields=["objective=reward", "reward=structured"],
        )


def _identity(recipe: RecipeManifest, preview: bool) -> tuple[str, str | None]:
    directory = local_directory(recipe.policy)
    if directory is None:
        commit = (commit_or_given if preview else hub_commit)(recipe.policy, recipe.revision)
        return recipe.policy, commit
    source = recipe.policy if recipe.policy.startswith("builtin:") else directory.resolve().name
    return source, fingerprint(directory)


def training_judge(run: Run, recipe: RecipeManifest) -> JudgeManifest:
    """Return the judge that a recipe names, as the run has it where it has it; else the first one.

    Raises:
        UsageError: neither the run nor the package knows a judge of that name.
    """
    names = [] if recipe.judge is None else [recipe.judge]
    return chosen_judges(names, run.manifest.judges)[0]


def policy_directory(recipe: RecipeManifest) -> Path | str:
    """Return what transformers loads the start policy from."""
    return local_directory(recipe.policy) or recipe.policy


def start_card(recipe: RecipeManifest) -> str | None:
    """Return the start policy's own model card, where that is on this machine."""
    directory = local_directory(recipe.policy)
    if directory is None:
        found = try_to_load_from_cache(recipe.policy, "README.md", revision=recipe.revision)
        path = Path(found) if isinstance(found, str) else None
    else:
        path = directory / "README.md"
    return path.read_text() if path is not None and path.is_file() else None


def changes(storage: Storage, plan: TrainingPlan) -> list[str] | None:
    """Return the fields in which the policy of the plan's name was trained otherwise, sorted.

    None if no such policy was trained to its end; what an unfinished training left does not count.
    Nor does prose in the manifests, nor what only operates.

    Raises:
        DamagedFileError: this very policy is there, and its rollouts or metrics are not what was
            written. Its weights, gigabytes, are checked where they are loaded.
    """
    there = read_lineage(storage, plan.name)
    if there is None:
        return None
    changed = changed_fields(there["plan"], plan)
    if not changed and isinstance(files := there.get("files"), dict):
        measured = {name: files[name] for name in files if name.endswith((".parquet", ".jsonl"))}
        check_files(storage, policy_path(plan.name), measured)
    return changed


def changed_fields(there: dict[str, Any], plan: TrainingPlan) -> list[str]:
    """Return the deciding fields in which a written plan differs from another, sorted."""
    return changed(there, plan.model_dump(mode="json"), TrainingPlan)


def trained_already(storage: Storage, plan: TrainingPlan) -> bool:
    """Whether this very policy is there.

    Raises:
        UsageError: a policy of that name is there, trained otherwise.
    """
    names = changes(storage, plan)
    if names:
        raise UsageError(
            f"policy '{plan.name}' is there already, trained with another {listed(names)}: give "
            "this one another name, or overwrite that one",
            fields=["name", "overwrite"],
        )
    return names is not None


def listed(names: list[str], most: int = 8) -> str:
    """Return names for a sentence, the first ones where there are many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
