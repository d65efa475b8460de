"""selection → policy: train by GRPO as a plan says, and keep all that happened.

Reads RUN/selections/<name>/ and the start policy. Writes RUN/policies/<name>/: model/ (safetensors
and processor), rollouts/part-*.parquet, metrics.jsonl (a line a step), training.png (their curves),
README.md (the model card) and, last, policy.yaml with the lineage. Until all of that is whole it
lies in training/ below, from where a training that was stopped goes on
(:mod:`qibox.grpo.unfinished`).

Run it with ``qibox train``; on several devices ``torchrun --nproc-per-node N -m qibox.cli train``.
"""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from qibox.figures.style import keep
from qibox.figures.training import training_figure
from qibox.grpo.adapters import ADAPTER, MODEL, adapter_settings, save_policy
from qibox.grpo.configuring import load_policy, training_arguments
from qibox.grpo.data import asked_as, training_dataset
from qibox.grpo.judge_place import asked_judge, second_judge
from qibox.grpo.judging import SelectionJudge
from qibox.grpo.learning import Conduct, Learned, learn, of_main
from qibox.grpo.lengths import context_of, short_enough
from qibox.grpo.monitors.held_out import held_out
from qibox.grpo.monitors.probes import Probes
from qibox.grpo.monitors.watch import OnAlarm
from qibox.grpo.progress_log import Metrics, OnStep
from qibox.grpo.reporting import tracking
from qibox.grpo.rollout import Rate
from qibox.grpo.rollout_rows import RolloutWriter
from qibox.grpo.room import check_room
from qibox.grpo.sharding import check_sharded, sharded_by
from qibox.grpo.snapshots import snapshot_callback
from qibox.grpo.step_judge import StepJudge
from qibox.grpo.training_plan import TrainingPlan, changes, start_card, trained_already
from qibox.grpo.unfinished import Unfinished, upload
from qibox.judges.base import Judge
from qibox.manifests.recipe import RecipeManifest
from qibox.policies.card import CARD, CURVES, policy_card, start_license
from qibox.run.directory import Run
from qibox.run.storage import Storage
from qibox.selection.read import read_selection
from qibox.torchvision_ops import declare_missing_operators

PACKAGES = ("qibox", "torch", "transformers", "trl")
SAVE_EVERY = 50  # rounds between two checkpoints


def train(
    run: Run,
    plan: TrainingPlan,
    recipe: RecipeManifest,
    on_step: OnStep = lambda step, metrics: None,
    *,
    save_every: int = SAVE_EVERY,
    overwrite: bool = False,
    judge_at: str | None = None,
    report_to: Sequence[str] = (),
    snapshots: Sequence[int] = (),
    on_alarm: OnAlarm = "warn",
    tell: Callable[[str], None] = lambda sentence: None,
) -> None:
    """Train a policy and write it into the run; go on where the same training was stopped.

    Args:
        run: where the selection is and the policy goes.
        plan: what is trained.
        recipe: the plan's with its policy still as the user gave it (a directory, perhaps).
        on_step: is told each round's number, from 1, and what was measured in it.
        save_every: rounds between two checkpoints; 0: none, so that it cannot go on.
        overwrite: drop checkpoints of another training of this name.
        judge_at: where the judge's model is served; None: it is loaded here, or on judge_gpus.
        report_to: trackers that are told what is measured, under transformers' names.
        snapshots: rounds after which the policy is kept as it is then, as another policy.
        on_alarm: when a monitor sees a known failure: tell of it and go on; stop, keeping a
            checkpoint; or end with the policy of the last checkpoint before it.
        tell: is told in a sentence which samples are left out, and of alarms.

    Raises:
        QiboxError: a disk has no room, the judge stopped answering, or an alarm was to stop it; a
            checkpoint is kept then.
        UsageError: vLLM or a tracker is asked for and not installed, the processes do not share the
            prompts, or another training of this name is unfinished.
    """
    declare_missing_operators()
    unfinished = Unfinished(run.storage, plan.name)
    _silence()
    started = time.monotonic()
    main = os.environ.get("RANK", "0") == "0"
    if main:
        check_room(run.storage, recipe, save_every)
    with ExitStack() as stack:
        stack.enter_context(tracking(report_to, _events(run.storage, unfinished)))
        judge = second = None  # before this process settles on its own card
        if main:
            judge = stack.enter_context(asked_judge(plan.judge, judge_at, recipe))
            second = stack.enter_context(second_judge(run, recipe))
        own = stack.enter_context(tempfile.TemporaryDirectory(prefix="qibox-train-"))
        arguments = training_arguments(recipe, own, save_every, report_to)
        arguments.output_dir, arguments.run_name = of_main(own), plan.name
        if of_main(main and _finished(unfinished, run.storage, plan, overwrite)):
            return
        rollouts = RolloutWriter(Storage(f"{run.storage.url}/{unfinished.folder}"))
        trainer = _watched_trainer(run, plan, recipe, judge, second, rollouts, arguments)
        if main:  # not before all has been loaded that may fail to load
            if trainer.left_out is not None:
                tell(str(trainer.left_out))
            unfinished.claim(plan, overwrite=overwrite)
        snapshot = partial(_snapshot, run.storage, plan, recipe, snapshots, started)
        conduct = Conduct(on_step, save_every, on_alarm, tell, snapshot)
        learned = learn(trainer, unfinished, rollouts, recipe.monitors, conduct)
        _keep(run.storage, unfinished, plan, recipe, trainer, learned, started)


def _events(storage: Storage, unfinished: Unfinished) -> str | None:
    """Where trackers' events go; elsewhere they lie in scratch until the training's end."""
    return storage.path(f"{unfinished.folder}/tensorboard") if storage.is_local else None


def _watched_trainer(
    run: Run,
    plan: TrainingPlan,
    recipe: RecipeManifest,
    judge: Judge | None,
    second: Judge | None,
    rollouts: RolloutWriter,
    arguments: Any,
) -> Any:
    """The trainer of a plan, with what its monitors ask: a second judge, held-out prompts."""
    selection = asked_as(recipe, read_selection(run.storage, plan.selection))
    probed = 0 if plan.judge.compares else recipe.monitors.probe
    harmless = asked_as(recipe, held_out(run, selection, probed))
    rate = _rate(plan, recipe, judge, pa.concat_tables([selection, harmless]))
    trainer = make_trainer(recipe, selection, rate, rollouts.add, arguments)
    other = None if second is None else SelectionJudge(second, selection, marks=recipe.reasoning)
    trainer.probes = Probes(recipe.monitors, other)
    trainer.held_out = training_dataset(harmless, trainer.processing_class.tokenizer)
    check_sharded(trainer)
    return trainer


def _rate(
    plan: TrainingPlan, recipe: RecipeManifest, judge: Judge | None, selection: pa.Table
) -> StepJudge:
    """Who rates a step's rollouts: the judge, in the main process; elsewhere its stand-in."""
    compares = plan.judge.compares
    return StepJudge(
        plan.judge.name,
        SelectionJudge(judge, selection, compares=compares, marks=recipe.reasoning)
        if judge
        else None,
        recipe.judge_deadline_s,
        compares=compares,
    )


def _snapshot(
    storage: Storage,
    plan: TrainingPlan,
    recipe: RecipeManifest,
    steps: Sequence[int],
    started: float,
    trainer: Any,
    rows: list[Metrics],
) -> Any:
    """The callback that keeps the policy after some rounds."""

    def lineage(own: TrainingPlan, so_far: list[Metrics]) -> dict[str, Any]:
        return _lineage(own, so_far, time.monotonic() - started, trainer)

    return snapshot_callback(storage, plan, recipe, steps, trainer, rows, lineage)


def _keep(
    storage: Storage,
    unfinished: Unfinished,
    plan: TrainingPlan,
    recipe: RecipeManifest,
    trainer: Any,
    learned: Learned,
    started: float,
) -> None:
    """Save the trained policy, which all processes do together, and put it in its place."""
    scratch = Path(trainer.args.output_dir)
    save_policy(trainer, recipe, plan.policy, scratch)
    trainer.accelerator.wait_for_everyone()
    if trainer.accelerator.is_main_process:
        lineage = _lineage(plan, learned.rows, time.monotonic() - started, trainer)
        lineage["rolled_back"] = learned.rolled_back
        _place(storage, unfinished, scratch, lineage, learned.rows, recipe)
    trainer.accelerator.wait_for_everyone()  # the directory is the main process's


def _place(
    storage: Storage,
    unfinished: Unfinished,
    scratch: Path,
    lineage: dict[str, Any],
    rows: list[Metrics],
    recipe: RecipeManifest,
) -> None:
    """Put the trained policy from scratch in its place, whole, with curves, card and lineage."""
    # Events lie in scratch where the run lies on a storage that is not this machine's.
    for made, part in ((MODEL, MODEL), (ADAPTER, ADAPTER), ("runs", "tensorboard")):
        if Path(scratch, made).is_dir():
            upload(Path(scratch, made), storage, f"{unfinished.folder}/{part}")
    curves = training_figure({lineage["plan"]["name"]: pd.DataFrame(rows)})
    keep(storage, f"{unfinished.folder}/{CURVES}", curves)
    card = policy_card(lineage, rows, license=start_license(start_card(recipe)))
    storage.write_text(f"{unfinished.folder}/{CARD}", card)
    unfinished.finish(lineage)


def _finished(unfinished: Unfinished, storage: Storage, plan: TrainingPlan, anew: bool) -> bool:
    """Whether this very policy only had to be put in its place."""
    if not unfinished.settle():
        return False
    return not changes(storage, plan) if anew else trained_already(storage, plan)


def make_trainer(
    recipe: RecipeManifest,
    selection: pa.Table,
    rate: Rate,
    record: Callable[[list[dict[str, Any]]], None],
    arguments: Any,
) -> Any:
    """Return the trainer of a recipe, its policy loaded; ``arguments`` are TRL's."""
    from transformers import PrinterCallback

    from qibox.grpo.trainer import SafetyTrainer

    model, processor = load_policy(recipe)
    selection, left_out = short_enough(selection, processor, recipe, context_of(model.config))
    trainer = SafetyTrainer(
        recipe=recipe,
        rate=rate,
        record=record,
        model=model,
        processing_class=processor,
        args=arguments,
        train_dataset=training_dataset(selection, processor.tokenizer),
        peft_config=adapter_settings(recipe.lora, model),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.left_out = left_out
    return trainer


def _silence() -> None:
    """Keep libraries from sending what nobody asked for and from printing beside the progress."""
    for name in ("HF_HUB_DISABLE_TELEMETRY", "TRL_EXPERIMENTAL_SILENCE"):
        os.environ[name] = "1"
    import transformers

    chatter: Any = transformers.logging  # transformers leaves it untyped
    chatter.disable_progress_bar()
    chatter.set_verbosity_error()
    # TRL warns, with whole images, of each batch that has a row without reward: discarding is
    # deliberate here.
    logging.getLogger("trl.trainer.grpo_trainer").setLevel(logging.ERROR)


def _lineage(
    plan: TrainingPlan, rows: list[Metrics], seconds: float, trainer: Any
) -> dict[str, Any]:
    packages = PACKAGES if plan.recipe.lora is None else (*PACKAGES, "peft")
    return {
        "plan": plan.model_dump(mode="json"),
        "versions": {name: version(name) for name in packages},
        "processes": trainer.args.world_size,
        "sharded_by": sharded_by(trainer),
        "left_out": None if trainer.left_out is None else trainer.left_out.lineage(),
        "seconds": round(seconds, 1),
        "last_step": rows[-1] if rows else None,
    }
