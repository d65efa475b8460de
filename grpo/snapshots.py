"""A policy as it was after some steps of its training, kept as a policy of its own.

Lies in policies/<name>-at-<step>/ with its model, the metrics up to there and a lineage that says
of which training it is; `qibox eval` takes it like any other.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from qibox.comparison.design import snapshot_name
from qibox.errors import UsageError
from qibox.grpo.adapters import MODEL, save_policy
from qibox.grpo.progress_log import Metrics
from qibox.grpo.training_plan import TrainingPlan, changes
from qibox.grpo.unfinished import Unfinished
from qibox.manifests.recipe import RecipeManifest
from qibox.policies.card import CARD, policy_card
from qibox.run.storage import Storage

Lineage = Callable[[TrainingPlan, list[Metrics]], dict[str, Any]]


def check_snapshots(steps: Collection[int], last: int) -> None:
    """Refuse a snapshot that would never be made.

    Raises:
        UsageError: one is not before the last step.
    """
    beyond = [step for step in steps if step >= last]
    if beyond:
        raise UsageError(
            f"a snapshot after step {beyond[0]} was asked for, and the training has {last}: its "
            "last step is the policy itself",
            fields=["snapshots"],
        )


def snapshot_callback(
    storage: Storage,
    plan: TrainingPlan,
    recipe: RecipeManifest,
    steps: Collection[int],
    trainer: Any,
    rows: list[Metrics],
    lineage: Lineage,
) -> Any:
    """Return the trainer callback that keeps the policy after each of the steps.

    Args:
        recipe: the plan's with its policy as the user gave it.
        trainer: whose model is kept; all its processes call this together.
        rows: what was measured so far, growing.
        lineage: of a plan and the rows of its steps.
    """
    from transformers import TrainerCallback

    updates, scratch = trainer.num_iterations, Path(trainer.args.output_dir, "snapshot")

    def keep(step: int) -> None:
        own = plan.model_copy(update={"name": snapshot_name(plan.name, step)})
        save_policy(trainer, recipe, plan.policy, scratch)
        if not trainer.accelerator.is_main_process or changes(storage, own) == []:
            return
        place = Unfinished(storage, own.name)
        place.claim(own, overwrite=True)
        place.take(scratch / MODEL, MODEL)
        so_far = [row for row in rows if row["step"] <= step]
        place.write_metrics(so_far)
        made = lineage(own, so_far) | {"snapshot": {"of": plan.name, "step": step}}
        storage.write_text(f"{place.folder}/{CARD}", policy_card(made, so_far))
        place.finish(made)

    class Snapshots(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            step, rest = divmod(state.global_step, updates)
            if "loss" in (logs or {}) and not rest and step in steps:
                keep(step)

    return Snapshots()
