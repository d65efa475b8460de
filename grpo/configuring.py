"""TRL's configuration of a recipe, and the start policy that it names."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qibox.engines.load import has_gpu
from qibox.engines.vllm import prepare_environment
from qibox.errors import QiboxError, UsageError
from qibox.grpo.reporting import reporters
from qibox.grpo.training_plan import policy_directory
from qibox.manifests.recipe import RecipeManifest
from qibox.manifests.settings import VLLMSettings

OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_bnb_8bit"}  # transformers' names

Fields = dict[str, Any]  # of TRL's configuration


def training_arguments(
    recipe: RecipeManifest, scratch: str, save_every: int = 0, report_to: Sequence[str] = ()
) -> Any:
    """Return TRL's configuration of a recipe; nothing of it is pushed, or reported unasked.

    ``save_every`` counts rounds; 0: no checkpoints. ``report_to`` names trackers as transformers
    does.

    Raises:
        UsageError: a step's rollouts cannot be divided among processes and devices, or a package
            that the recipe or a tracker needs is not there.
        QiboxError: a launcher promised processes that are not there.
    """
    _see_one_card()
    trackers = reporters(report_to)
    _refuse_missing_packages(recipe)
    if recipe.use_vllm:
        _prepare_vllm()
    from trl.trainer.grpo_config import GRPOConfig

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    arguments = GRPOConfig(
        output_dir=scratch,
        seed=recipe.seed,
        **_batches(recipe, processes),
        **_generation(recipe),
        **_loss(recipe),
        **_optimisation(recipe),
        **_upkeep(recipe, save_every),
        report_to=trackers,
    )
    arguments.report_to = trackers  # transformers adds kubeflow by itself where it finds it
    # Launchers have been seen to start fewer processes than they were asked for, without a word.
    if arguments.world_size != processes:
        raise QiboxError(
            f"WORLD_SIZE promises {processes} processes but {arguments.world_size} take part: "
            "launch with torchrun --nproc-per-node"
        )
    return arguments


def _batches(recipe: RecipeManifest, processes: int) -> Fields:
    """How a step's rollouts are divided: among processes, then into forward passes."""
    rollouts = recipe.prompts_per_step * recipe.samples_per_prompt
    at_once = recipe.rollouts_per_device or max(1, rollouts // processes)
    if rollouts % (at_once * processes):
        raise UsageError(
            f"{recipe.prompts_per_step} prompts × {recipe.samples_per_prompt} rollouts cannot be "
            f"divided into {processes} processes of {at_once} rollouts at once: make "
            f"prompts_per_step × samples_per_prompt a multiple of {processes * at_once}"
        )
    return {
        "max_steps": recipe.steps * recipe.updates_per_batch,
        "num_generations": recipe.samples_per_prompt,
        "num_iterations": recipe.updates_per_batch,
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": rollouts // (at_once * processes),
    }


def _generation(recipe: RecipeManifest) -> Fields:
    """How rollouts are drawn."""
    rollout = recipe.rollout
    return {
        "max_completion_length": 2 * rollout.max_draft_tokens + rollout.max_reflection_tokens,
        "temperature": rollout.temperature,
        "top_p": rollout.top_p,
        "chat_template_kwargs": recipe.template_arguments,
        "use_vllm": recipe.use_vllm,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": recipe.vllm.gpu_memory_utilization,
        "vllm_max_model_length": recipe.vllm.max_model_len,
        "vllm_enable_sleep_mode": recipe.vllm.enable_sleep_mode,
        "vllm_importance_sampling_correction": recipe.vllm.importance_sampling_correction,
        "vllm_importance_sampling_mode": recipe.vllm.importance_sampling_mode,
        "vllm_importance_sampling_clip_max": recipe.vllm.importance_sampling_clip_max,
        "vllm_importance_sampling_clip_min": recipe.vllm.importance_sampling_clip_min,
    }


def _loss(recipe: RecipeManifest) -> Fields:
    """What is minimised."""
    return {
        "beta": recipe.beta,
        "use_bias_correction_kl": False,  # TRL's default multiplies the KL by the ratio; Eq. 18 not
        "epsilon": recipe.clip,
        "loss_type": recipe.loss,
        "scale_rewards": "group",  # advantage = (reward − group mean) / group std, as in the paper
    }


def _optimisation(recipe: RecipeManifest) -> Fields:
    """How it is minimised, and in what precision."""
    import torch

    constant = recipe.schedule == "constant"
    return {
        "optim": OPTIMIZERS[recipe.optimizer],
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "constant_with_warmup" if constant else recipe.schedule,
        "warmup_steps": recipe.warmup_steps,
        "max_grad_norm": recipe.max_grad_norm,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "bf16": recipe.bf16,
        # Said outright, or several processes without an accelerator would not find each other.
        "use_cpu": not torch.accelerator.is_available(),
    }


def _upkeep(recipe: RecipeManifest, save_every: int) -> Fields:
    """What is written while it learns."""
    return {
        "logging_steps": recipe.updates_per_batch,
        # Between rounds only: TRL loses what it drew in one.
        "save_strategy": "steps" if save_every else "no",
        "save_steps": max(1, save_every) * recipe.updates_per_batch,
        "save_total_limit": 1,
        "push_to_hub": False,
        "log_completions": False,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def _refuse_missing_packages(recipe: RecipeManifest) -> None:
    """Refuse what a recipe asks for where its package is not installed."""
    needed = (
        (
            recipe.use_vllm,
            "vllm",
            "use_vllm but vLLM is not installed: pip install 'qibox[vllm]', or set use_vllm: false",
        ),
        (
            recipe.optimizer == "adamw_8bit",
            "bitsandbytes",
            "optimizer adamw_8bit but bitsandbytes is not installed: pip install bitsandbytes, or "
            "set optimizer: adamw",
        ),
    )
    for wanted, package, says in needed:
        if wanted and importlib.util.find_spec(package) is None:
            raise UsageError(f"the recipe says {says}")


def _see_one_card() -> None:
    """Make one card visible where this process is alone: TRL refuses to spread over several."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
        os.environ["CUDA_VISIBLE_DEVICES"] = seen.split(",")[0]


def _prepare_vllm() -> None:
    """Let vLLM run in this process, where TRL reaches into it to load each step's weights."""
    prepare_environment(VLLMSettings(own_process=False), has_gpu())
    if not has_gpu():
        import torch._dynamo
        import vllm._custom_ops as operators

        # TRL has no word for eager mode; here compiling takes longer than it ever saves.
        torch._dynamo.config.disable = True

        # oneDNN's copies of float32 weights are packed for good: nothing can be loaded into them.
        operators._supports_onednn = False


def load_policy(recipe: RecipeManifest) -> tuple[Any, Any]:
    """Load the start policy and its processor.

    Weights that learn are float32 whatever the recipe says: bf16 is the precision of the forward
    and backward pass (autocast), for at a rate of 1e-6 bf16 weights round nearly all of AdamW's
    moves away. Beside adapters the weights stand still, and may be bfloat16.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText

    frozen = "float32" if recipe.lora is None else recipe.lora.frozen
    source, where = policy_source(recipe)
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=getattr(torch, frozen),
            use_safetensors=True,
            **where,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise QiboxError(f"policy '{recipe.policy}' cannot be loaded: {error}") from error
    return model, load_processor(recipe)


def load_processor(recipe: RecipeManifest) -> Any:
    """Load the start policy's processor, with the recipe's limits of pixels.

    Raises:
        UsageError: the processor has no such limits.
    """
    from transformers import AutoProcessor

    source, where = policy_source(recipe)
    limits = pixel_limits(recipe)
    loader: Any = AutoProcessor  # transformers leaves it untyped
    try:
        processor = loader.from_pretrained(source, **where, **limits)
    except (OSError, ValueError) as error:
        raise QiboxError(f"policy '{recipe.policy}' cannot be loaded: {error}") from error
    size = getattr(getattr(processor, "image_processor", None), "size", None) or {}
    for name, value in limits.items():
        if size.get({"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}[name]) != value:
            raise UsageError(
                f"the recipe says {name} {value}, and the processor of policy '{recipe.policy}' "
                f"has no limit of pixels: set {name}: null"
            )
    processor.tokenizer.padding_side = "left"  # Qwen's position code fails on right-padded prompts
    return processor


def pixel_limits(recipe: RecipeManifest) -> dict[str, int]:
    """The limits of pixels that a recipe sets, by the name that processors and vLLM give them."""
    limits = {"min_pixels": recipe.min_pixels, "max_pixels": recipe.max_pixels}
    return {name: value for name, value in limits.items() if value is not None}


def policy_source(recipe: RecipeManifest) -> tuple[Path | str, dict[str, str | None]]:
    """What transformers loads the start policy from, and at which revision."""
    source = policy_directory(recipe)
    return source, {"revision": recipe.revision} if isinstance(source, str) else {}
