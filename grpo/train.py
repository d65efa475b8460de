"""selection → policy: train by GRPO as a plan says, and keep all that happened.

Reads RUN/selections/<name>/ and the start policy. Writes RUN/policies/<name>/: model/ (safetensors
and processor), rollouts/part-*.parquet, metrics.jsonl (a line a step) and, last, policy.yaml with
the lineage. A policy without policy.yaml is unfinished and is made anew.

Run it with ``qibox train``; on several devices ``torchrun --nproc-per-node N -m qibox.cli.main
train``.
"""

import json
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from qibox.errors import QiboxError, UsageError
from qibox.grpo.data import training_dataset
from qibox.grpo.judging import SelectionJudge
from qibox.grpo.rollout import Rate
from qibox.grpo.rollout_rows import RolloutWriter
from qibox.grpo.training_plan import TrainingPlan, policy_directory
from qibox.judges.load import load_judge
from qibox.manifests.recipe import RecipeManifest
from qibox.policies.directory import POLICY_FILE
from qibox.run.directory import Run
from qibox.run.storage import Storage
from qibox.selection.read import read_selection
from qibox.torchvision_ops import declare_missing_operators

Metrics = dict[str, Any]
OnStep = Callable[[int, Metrics], None]  # step from 1, what was measured in it

PACKAGES = ("qibox", "torch", "transformers", "trl")
METRICS_EVERY = 10  # steps between two writes of metrics.jsonl


def train(
    run: Run,
    plan: TrainingPlan,
    recipe: RecipeManifest,
    on_step: OnStep = lambda step, metrics: None,
) -> None:
    """Train a policy and write it into the run.

    ``recipe`` is the plan's with its policy still as the user gave it (a directory, perhaps).

    Raises:
        UsageError: vLLM is asked for and not installed, or the processes do not share the prompts.
    """
    declare_missing_operators()
    _silence()
    storage = run.storage
    home = f"policies/{plan.name}"
    selection = read_selection(storage, plan.selection)
    judge = load_judge(plan.judge)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="qibox-train-") as scratch:
        arguments = training_arguments(recipe, scratch)
        main = arguments.process_index == 0
        rollouts = RolloutWriter(Storage(f"{storage.url}/{home}"))
        log = _MetricsLog(storage if main else None, f"{home}/metrics.jsonl", on_step)
        rate = SelectionJudge(judge, selection)
        trainer = make_trainer(recipe, selection, rate, rollouts.add, arguments)
        trainer.add_callback(log.callback())
        if main:  # not before all has been loaded that may fail to load
            storage.remove(home)
        arguments.distributed_state.wait_for_everyone()
        try:
            trainer.train()
        finally:
            rollouts.flush()
            log.write()
            judge.close()
        trainer.save_model(f"{scratch}/model")
        arguments.distributed_state.wait_for_everyone()
        if main:
            _upload(Path(scratch, "model"), storage, f"{home}/model")
            lineage = _lineage(plan, log.rows, time.monotonic() - started, arguments.world_size)
            storage.write_text(f"{home}/{POLICY_FILE}", lineage)


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
    trainer = SafetyTrainer(
        recipe=recipe,
        rate=rate,
        record=record,
        model=model,
        processing_class=processor,
        args=arguments,
        train_dataset=training_dataset(selection, processor.tokenizer),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def training_arguments(recipe: RecipeManifest, scratch: str) -> Any:
    """Return TRL's configuration of a recipe; nothing of it reports, pushes or saves by itself.

    Raises:
        UsageError: a step's prompts cannot be divided among processes and devices, or no vLLM.
        QiboxError: a launcher promised processes that are not there.
    """
    import torch
    from trl.trainer.grpo_config import GRPOConfig

    if recipe.use_vllm:
        _need_vllm()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    k = recipe.samples_per_prompt
    at_once = recipe.prompts_per_device or max(1, recipe.prompts_per_step // processes)
    if recipe.prompts_per_step % (at_once * processes):
        raise UsageError(
            f"prompts_per_step {recipe.prompts_per_step} cannot be divided into {processes} "
            f"processes of {at_once} prompts at once: make it a multiple of {processes * at_once}"
        )
    rollout = recipe.rollout
    longest = 2 * rollout.max_draft_tokens + rollout.max_reflection_tokens
    arguments = GRPOConfig(
        output_dir=scratch,
        max_steps=recipe.steps,
        seed=recipe.seed,
        num_generations=k,
        per_device_train_batch_size=at_once * k,
        gradient_accumulation_steps=recipe.prompts_per_step // (at_once * processes),
        max_completion_length=longest,
        temperature=rollout.temperature,
        top_p=rollout.top_p,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule
        if recipe.schedule != "constant"
        else "constant_with_warmup",
        warmup_steps=recipe.warmup_steps,
        beta=recipe.beta,
        epsilon=recipe.clip,
        loss_type=recipe.loss,
        scale_rewards="group",  # advantage = (reward − group mean) / group std, as in the paper
        max_grad_norm=recipe.max_grad_norm,
        gradient_checkpointing=recipe.gradient_checkpointing,
        bf16=recipe.bf16,
        # Said outright, or several processes without an accelerator would not find each other.
        use_cpu=not torch.accelerator.is_available(),
        use_vllm=recipe.use_vllm,
        vllm_mode="colocate",
        vllm_gpu_memory_utilization=recipe.vllm.gpu_memory_utilization,
        vllm_max_model_length=recipe.vllm.max_model_len,
        vllm_enable_sleep_mode=recipe.vllm.enable_sleep_mode,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        push_to_hub=False,
        log_completions=False,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    # Launchers have been seen to start fewer processes than they were asked for, without a word.
    if arguments.world_size != processes:
        raise QiboxError(
            f"WORLD_SIZE promises {processes} processes but {arguments.world_size} take part: "
            "launch with torchrun --nproc-per-node"
        )
    return arguments


def _need_vllm() -> None:
    from importlib.util import find_spec

    if find_spec("vllm") is None:
        raise UsageError(
            "the recipe says use_vllm but vLLM is not installed: pip install 'qibox[vllm]', or set "
            "use_vllm: false"
        )


def load_policy(recipe: RecipeManifest) -> tuple[Any, Any]:
    """Load the start policy and its processor; weights in float32 unless the recipe says bf16."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    source = policy_directory(recipe)
    where = {"revision": recipe.revision} if isinstance(source, str) else {}
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=torch.bfloat16 if recipe.bf16 else torch.float32,
            use_safetensors=True,
            **where,
        )
        loader: Any = AutoProcessor  # transformers leaves it untyped
        processor = loader.from_pretrained(source, **where)
    except (OSError, ValueError) as error:
        raise QiboxError(f"policy '{recipe.policy}' cannot be loaded: {error}") from error
    processor.tokenizer.padding_side = "left"  # Qwen's position code fails on right-padded prompts
    return model, processor


class _MetricsLog:
    """Collects what each step measured, writes it as JSON lines, and tells the caller."""

    def __init__(self, storage: Storage | None, path: str, on_step: OnStep) -> None:
        self.rows: list[Metrics] = []
        self._storage = storage
        self._path = path
        self._on_step = on_step

    def add(self, step: int, logs: Metrics) -> None:
        """Keep one step's values; what is not a finite number becomes null."""
        numbers = {n: v for n, v in logs.items() if isinstance(v, int | float) or v is None}
        row = {"step": step} | {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in numbers.items()
        }
        self.rows.append(row)
        self._on_step(step, row)
        if len(self.rows) % METRICS_EVERY == 0:
            self.write()

    def write(self) -> None:
        """Write all rows so far."""
        if self._storage is not None:
            lines = [json.dumps(row) + "\n" for row in self.rows]
            self._storage.write_text(self._path, "".join(lines))

    def callback(self) -> Any:
        """Return the trainer callback that feeds this log."""
        from transformers import TrainerCallback

        add = self.add

        class Feed(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
            def on_log(
                self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any
            ) -> None:
                if "loss" in (logs or {}):  # the summary at the end has none
                    add(state.global_step, logs)

        return Feed()


def _silence() -> None:
    """Keep libraries from reporting anywhere and from printing beside the progress."""
    for name in ("HF_HUB_DISABLE_TELEMETRY", "TRL_EXPERIMENTAL_SILENCE", "WANDB_DISABLED"):
        os.environ[name] = "1"
    import transformers

    chatter: Any = transformers.logging  # transformers leaves it untyped
    chatter.disable_progress_bar()
    chatter.set_verbosity_error()
    # TRL warns, with whole images, of each batch that has a row without reward: discarding is
    # deliberate here.
    logging.getLogger("trl.trainer.grpo_trainer").setLevel(logging.ERROR)


def _upload(source: Path, storage: Storage, folder: str) -> None:
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        if file.name == "training_args.bin":  # a pickle, with this machine's paths
            continue
        name = f"{folder}/{file.relative_to(source).as_posix()}"
        with storage.writing(name) as target, file.open("rb") as stream:
            shutil.copyfileobj(stream, target, 1 << 24)


def _lineage(plan: TrainingPlan, rows: list[Metrics], seconds: float, processes: int) -> str:
    content = {
        "plan": plan.model_dump(mode="json"),
        "versions": {name: version(name) for name in PACKAGES},
        "processes": processes,
        "seconds": round(seconds, 1),
        "last_step": rows[-1] if rows else None,
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
