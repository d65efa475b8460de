"""`qibox train`: selection → policy."""

import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from qibox.cli.launching import launched
from qibox.cli.recipe_options import overridden
from qibox.cli.values import STEPS, TRAINING_SEED
from qibox.cli.wave_options import judge_at_option
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.grpo.training_plan import TrainingPlan
    from qibox.manifests.recipe import RecipeManifest
    from qibox.run.directory import Run

CONDUCT = ("save_every", "overwrite", "report_to", "snapshots", "on_alarm")  # of no recipe


@click.command(short_help="Train a policy on a selection, by GRPO with reflection and correction.")
@click.argument("run", default=DEFAULT_RUN)
@click.option("--selection", default="default", show_default=True, help="Selection to train on.")
@click.option("--recipe", default="mini", show_default=True, help="Recipe's name, or a .yaml path.")
@click.option("--policy", help="Start policy: directory, hub id or builtin:<name>.")
@click.option("--name", default="default", show_default=True, help="Name of the new policy.")
@click.option("--steps", type=STEPS, help="Rounds of rollouts.")
@click.option("--seed", type=TRAINING_SEED, help="Seed of everything that is drawn.")
@click.option(
    "--rollout",
    type=click.Choice(["reflect", "discard", "plain"]),
    help="What happens to an unsafe draft: corrected, left out, or rewarded as it is.",
)
@click.option(
    "--reward",
    type=click.Choice(["structured", "scalar"]),
    help="The judge's whole score, or its answer score alone.",
)
@click.option(
    "--credit",
    type=click.Choice(["turn", "trajectory", "recovery", "correction"]),
    help="What is learned from a corrected trajectory: each turn by its own advantage; all by one; "
    "only reflection and correction; only the correction.",
)
@click.option("--learning-rate", type=float, help="Peak learning rate.")
@click.option(
    "--updates-per-batch",
    type=click.IntRange(min=1),
    help="Updates made from one batch of rollouts; with 1 the clip never acts.",
)
@click.option(
    "--refill",
    type=click.IntRange(min=0),
    help="How often in a step groups without spread give way to other prompts, at most.",
)
@click.option(
    "--objective",
    type=click.Choice(["reward", "lagrangian"]),
    help="The judge's score, or helpfulness with harm held below --cost-limit by a multiplier.",
)
@click.option("--cost-limit", type=float, help="Mean harm that is allowed, from 0 to 1.")
@judge_at_option
@click.option(
    "--judge-gpus",
    type=click.IntRange(min=0),
    help="Cards for a judge that vLLM runs: the training starts and ends its server there.",
)
@click.option(
    "--lora",
    type=click.IntRange(min=1),
    help="Train adapters of this rank in place of every weight; the policy is saved merged.",
)
@click.option(
    "--save-every",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="Steps between two checkpoints, from which a stopped training goes on; 0 for none.",
)
@click.option(
    "--snapshot",
    "snapshots",
    type=STEPS,
    multiple=True,
    metavar="STEP",
    help="Keep the policy as it is after this step too, as NAME-at-STEP; may be given again.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="Processes that share each step's rollouts, a GPU each where there are any.  "
    "[default: 1, or what --accelerate-config says]",
)
@click.option(
    "--accelerate-config",
    metavar="FILE",
    help="How the processes share weights (FSDP, DeepSpeed): the file of `accelerate config`.",
)
@click.option(
    "--report-to",
    multiple=True,
    metavar="TRACKER",
    help="Tracker that is told what each step measured, under transformers' name for it "
    "(tensorboard, wandb, mlflow, …); may be given again. Without it nothing is reported anywhere.",
)
@click.option(
    "--on-alarm",
    type=click.Choice(["warn", "stop", "rollback"]),
    default="warn",
    show_default=True,
    help="When a monitor of the recipe sees a known failure: tell of it; stop, keeping a "
    "checkpoint; or end with the policy of the last checkpoint before it.",
)
@click.option(
    "--second-judge",
    metavar="JUDGE",
    help="Rates a sample of the rollouts every so many steps, to see whether the reward is hacked.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace a policy of that name, once the new one is whole."
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, resolved, and stop.")
def command(
    run: str,
    selection: str,
    recipe: str,
    name: str,
    judge_at: tuple[str, ...],
    processes: int | None,
    accelerate_config: str | None,
    dry_run: bool,
    **options: Any,
) -> None:
    """Train a policy on a selection of RUN, by GRPO with reflection and correction.

    An unsafe draft is shown to the policy again, which says why it was unsafe and answers anew; the
    judge rates the final answer, and every rollout is kept as a row. The policy, its rollouts,
    metrics and lineage land in RUN/policies/NAME. The same training again does nothing, and goes on
    where it was stopped.

    \b
    Example: qibox train runs/mini --steps 60 --name short
    """
    from qibox.cli import console
    from qibox.grpo.judge_place import check_place, settled_judge
    from qibox.grpo.reporting import reporters
    from qibox.grpo.snapshots import check_snapshots
    from qibox.grpo.training_plan import changes, resolve_training, trained_already, training_judge
    from qibox.judges.placing import placed
    from qibox.manifests.load import load_manifest
    from qibox.manifests.recipe import RecipeManifest
    from qibox.run.directory import Run

    console.err.quiet = os.environ.get("RANK", "0") != "0"  # of several processes one tells
    opened = Run.open(run)
    wanted = overridden(load_manifest(RecipeManifest, recipe), options)
    (judge,) = placed([training_judge(opened, wanted)], judge_at)
    plan = resolve_training(opened, selection, wanted, judge, name, preview=dry_run)
    overwrite, folder = options["overwrite"], f"{run}/policies/{name}"
    if dry_run:
        _print_plan(plan, folder, None if overwrite else changes(opened.storage, plan))
        _print_left_out(opened, plan, wanted)
        return
    reporters(options["report_to"])
    count = _process_count(accelerate_config, wanted, processes)
    check_place(judge, wanted, count)
    check_snapshots(options["snapshots"], wanted.steps)
    plan = plan.model_copy(update={"judge": settled_judge(judge)})
    if not overwrite and trained_already(opened.storage, plan):
        console.err.print(f"{folder} is there already, trained exactly so: nothing to do")
        return
    if count > 1 and "WORLD_SIZE" not in os.environ:
        raise SystemExit(launched(count, sys.argv[1:]))
    conduct = {option: options[option] for option in CONDUCT}
    conduct["judge_at"] = None if judge.model is None else judge.model.at
    _train(opened, plan, wanted, folder, conduct)
    console.err.print(f"policy in {folder}; compare it with `qibox eval {run} --policy {name}`")


def _process_count(config: str | None, recipe: "RecipeManifest", processes: int | None) -> int:
    """How many processes train; accelerate's configuration is taken on where one is given."""
    if config is not None:
        return _shared(config, recipe, processes)
    return int(os.environ.get("WORLD_SIZE", processes or 1))


def _shared(path: str, recipe: "RecipeManifest", processes: int | None) -> int:
    """Take on accelerate's configuration; how many processes it is for.

    Raises:
        UsageError: it cannot be read, or contradicts the recipe or the number of processes.
    """
    from qibox.grpo.sharding import apply_config, check_config, read_config

    config = read_config(path)
    count = int(os.environ.get("WORLD_SIZE", processes or config.get("num_processes") or 1))
    check_config(config, recipe, count)
    apply_config(path, config, count)
    return count


def _train(
    run: "Run",
    plan: "TrainingPlan",
    recipe: "RecipeManifest",
    folder: str,
    conduct: dict[str, Any],
) -> None:
    """Train while holding the policy's lock, and tell how it goes."""
    from qibox.cli import console
    from qibox.cli.progress import counting
    from qibox.grpo.train import train
    from qibox.grpo.unfinished import Unfinished
    from qibox.scoring.lock import locked

    home = folder.removesuffix(f"/policies/{plan.name}")
    console.err.print(
        f"training {plan.policy} on {plan.selection_samples} samples of {home}/selections/"
        f"{plan.selection}: {recipe.steps} steps of {recipe.prompts_per_step} × "
        f"{recipe.samples_per_prompt} rollouts, rewarded by judge {plan.judge.name}"
    )
    done = Unfinished(run.storage, plan.name).last_checkpoint()
    if done:
        console.err.print(f"a checkpoint after step {done} is there")
    main = os.environ.get("RANK", "0") == "0"
    lock = locked(run.storage, f"policies/.{plan.name}.lock", folder) if main else nullcontext()
    with lock, counting("training", recipe.steps) as advance:
        conduct = conduct | {"tell": console.err.print}
        train(run, plan, recipe, lambda _, metrics: advance(1, _remark(metrics)), **conduct)


def _remark(metrics: dict[str, Any]) -> str:
    """Say in a few words what a step was like."""
    words = []
    if metrics.get("reward") is not None:
        words.append(f"reward {metrics['reward']:.1f}")
    if metrics.get("unsafe_drafts") is not None:
        words.append(f"unsafe drafts {metrics['unsafe_drafts']:.0%}")
    if metrics.get("corrected") is not None:
        words.append(f"corrected {metrics['corrected']:.0%}")
    if metrics.get("zero_variance"):
        words.append(f"groups without spread {metrics['zero_variance']:.0%}")
    return ", ".join(words)


def _print_plan(plan: "TrainingPlan", folder: str, changed: list[str] | None) -> None:
    """Print the plan as YAML, and as comments what it comes to."""
    import yaml

    from qibox.cli import console
    from qibox.grpo.training_plan import listed

    recipe = plan.recipe
    prompts = recipe.steps * recipe.prompts_per_step
    rollouts = prompts * recipe.samples_per_prompt
    if changed is None:
        verdict = "would be written"
    elif changed:
        verdict = f"is there, trained with another {listed(changed)}: --name or --overwrite"
    else:
        verdict = "is there already: nothing to do"
    notes = [
        f"{recipe.steps:,} steps of {recipe.prompts_per_step} prompts × "
        f"{recipe.samples_per_prompt} rollouts: {rollouts:,} rollouts in all, "
        f"{prompts / plan.selection_samples:.2f} passes over {plan.selection_samples:,} samples",
        f"{folder}: model/, rollouts/, metrics.jsonl, training.png, README.md, policy.yaml "
        f"({verdict})",
    ]
    if plan.policy_revision is None:
        notes.append(
            f"the weights of {plan.policy} are not on this machine: they would be fetched from the "
            "hub, and their commit would become policy_revision"
        )
    content = plan.model_dump(mode="json")
    console.out.print(yaml.safe_dump(content, sort_keys=False), end="", soft_wrap=True)
    for note in notes:
        console.out.print(f"# {note}", soft_wrap=True)


def _print_left_out(run: "Run", plan: "TrainingPlan", recipe: "RecipeManifest") -> None:
    """Print, as a comment, which samples are too long; only where the weights are here to tell."""
    from qibox.cli import console
    from qibox.grpo.lengths import left_out
    from qibox.selection.read import read_selection

    if plan.policy_revision is None:
        return
    left = left_out(read_selection(run.storage, plan.selection), recipe)
    if left is not None:
        console.out.print(f"# {left}", soft_wrap=True)
