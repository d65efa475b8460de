"""`qibox train`: selection → policy."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qibox.cli.values import STEPS, TRAINING_SEED
from qibox.cli.wave_options import judge_at_option
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.grpo.training_plan import TrainingPlan
    from qibox.manifests.recipe import RecipeManifest

TIDY_S = 5.0  # for processes that are asked to end

# option → the recipe's field that it sets; a dot leads into rollout
OVERRIDES = {
    "policy": "policy",
    "steps": "steps",
    "seed": "seed",
    "rollout": "rollout.unsafe",
    "reward": "reward",
    "credit": "credit",
    "learning_rate": "learning_rate",
    "updates_per_batch": "updates_per_batch",
    "refill": "refill",
    "objective": "objective",
    "cost_limit": "cost_limit",
    "judge_gpus": "judge_gpus",
    "lora": "lora.rank",
}


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
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that share each step's rollouts, a GPU each where there are any.",
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
    save_every: int,
    processes: int,
    overwrite: bool,
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
    from qibox.cli.progress import counting
    from qibox.grpo.judge_place import check_place, settled_judge
    from qibox.grpo.train import train
    from qibox.grpo.training_plan import changes, resolve_training, trained_already, training_judge
    from qibox.grpo.unfinished import Unfinished
    from qibox.judges.placing import placed
    from qibox.manifests.load import load_manifest
    from qibox.manifests.recipe import RecipeManifest
    from qibox.run.directory import Run
    from qibox.scoring.lock import locked

    main = os.environ.get("RANK", "0") == "0"
    console.err.quiet = not main  # of several processes one tells
    opened = Run.open(run)
    wanted = overridden(load_manifest(RecipeManifest, recipe), options)
    (judge,) = placed([training_judge(opened, wanted)], judge_at)
    url = None if judge.model is None else judge.model.at
    plan = resolve_training(opened, selection, wanted, judge, name, preview=dry_run)
    if not dry_run:
        check_place(judge, wanted, int(os.environ.get("WORLD_SIZE", processes)))
        plan = plan.model_copy(update={"judge": settled_judge(judge)})
    folder = f"{run}/policies/{name}"
    if dry_run:
        _print_plan(plan, folder, None if overwrite else changes(opened.storage, plan))
        return
    if not overwrite and trained_already(opened.storage, plan):
        console.err.print(f"{folder} is there already, trained exactly so: nothing to do")
        return
    if processes > 1 and "WORLD_SIZE" not in os.environ:
        raise SystemExit(launched(processes, sys.argv[1:]))
    console.err.print(
        f"training {plan.policy} on {plan.selection_samples} samples of {run}/selections/"
        f"{selection}: {wanted.steps} steps of {wanted.prompts_per_step} × "
        f"{wanted.samples_per_prompt} rollouts"
    )
    done = Unfinished(opened.storage, name).last_checkpoint()
    if done:
        console.err.print(f"a checkpoint after step {done} is there")
    lock = locked(opened.storage, f"policies/.{name}.lock", folder) if main else nullcontext()
    with lock, counting("training", wanted.steps) as advance:
        train(
            opened,
            plan,
            wanted,
            lambda step, metrics: advance(1, _remark(metrics)),
            save_every=save_every,
            overwrite=overwrite,
            judge_at=url,
        )
    console.err.print(f"policy in {folder}; compare it with `qibox eval {run} --policy {name}`")


def launched(processes: int, arguments: list[str]) -> int:
    """Run this command line again in several processes; their exit status.

    Asked to stop, it ends torchrun, which would tell of each process that it ends, and lets the
    processes put down what they hold. They hear nothing from the terminal: torchrun gives each a
    session of its own.
    """
    from qibox.stopping import QUIET

    with tempfile.TemporaryDirectory(prefix="qibox-torchrun-") as logs:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--log-dir", logs]
        ours = ["-m", "qibox.cli.main", *arguments]
        command = [sys.executable, *torchrun, f"--nproc-per-node={processes}", *ours]
        environment = {**os.environ, QUIET: "1"}
        launcher = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            return launcher.wait()
        except BaseException:
            end_launched(launcher)
            raise


def end_launched(launcher: "subprocess.Popen[bytes]") -> None:
    """End torchrun and the processes that it started, these by themselves if they do so in time."""
    from qibox.stopping import descendants

    launcher.send_signal(signal.SIGSTOP)  # it must not see them end, nor start others
    ours = descendants(launcher.pid)
    for process in ours:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    until = time.monotonic() + TIDY_S
    while any(map(_is_alive, ours)) and time.monotonic() < until:
        time.sleep(0.05)
    for process in (*ours, launcher.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    launcher.wait()


def _is_alive(process: int) -> bool:
    """Whether a process still works: one that has ended is kept until its parent has looked."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def overridden(recipe: "RecipeManifest", options: dict[str, Any]) -> "RecipeManifest":
    """Return the recipe with the options that were given, checked as a manifest is.

    Raises:
        UsageError: a value that the recipe does not allow.
    """
    from pydantic import ValidationError

    from qibox.errors import UsageError
    from qibox.manifests.load import describe
    from qibox.manifests.recipe import RecipeManifest

    values = recipe.model_dump()
    for option, value in options.items():
        if value is None:
            continue
        *parents, field = OVERRIDES[option].split(".")
        target = values
        for parent in parents:
            target[parent] = target[parent] or {}  # a group that the recipe left out
            target = target[parent]
        target[field] = value
    try:
        return RecipeManifest.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"recipe '{recipe.name}': {describe(error, RecipeManifest)}") from error


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
        f"{folder}: model/, rollouts/, metrics.jsonl, training.png, policy.yaml ({verdict})",
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
