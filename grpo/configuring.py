"""TRL's configuration of a recipe, and the start policy that it names."""

import os
from typing import Any

from qibox.engines.load import has_gpu
from qibox.engines.vllm import prepare_environment
from qibox.errors import QiboxError, UsageError
from qibox.grpo.training_plan import policy_directory
from qibox.manifests.recipe import RecipeManifest
from qibox.manifests.settings import VLLMSettings

OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_bnb_8bit"}  # transformers' names


def training_arguments(recipe: RecipeManifest, scratch: str, save_every: int = 0) -> Any:
    """Return TRL's configuration of a recipe; nothing of it reports or pushes.

    ``save_every`` counts rounds; 0: no checkpoints.

    Raises:
        UsageError: a step's rollouts cannot be divided among processes and devices, or no vLLM.
        QiboxError: a launcher promised processes that are not there.
    """
    _see_one_card()
    import torch
    from trl.trainer.grpo_config import GRPOConfig

    if recipe.use_vllm:
        _need(
            "vllm",
            "use_vllm but vLLM is not installed: pip install 'qibox[vllm]', or set use_vllm: false",
        )
        _prepare_vllm()
    if recipe.optimizer == "adamw_8bit":
        _need(
            "bitsandbytes",
            "optimizer adamw_8bit but bitsandbytes is not installed: pip install bitsandbytes, or "
            "set optimizer: adamw",
        )
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    k = recipe.samples_per_prompt
    rollouts = recipe.prompts_per_step * k
    at_once = recipe.rollouts_per_device or max(1, rollouts // processes)
    if rollouts % (at_once * processes):
        raise UsageError(
            f"{recipe.prompts_per_step} prompts × {k} rollouts cannot be divided into {processes} "
            f"processes of {at_once} rollouts at once: make prompts_per_step × samples_per_prompt "
            f"a multiple of {processes * at_once}"
        )
    rollout = recipe.rollout
    longest = 2 * rollout.max_draft_tokens + rollout.max_reflection_tokens
    arguments = GRPOConfig(
        output_dir=scratch,
        max_steps=recipe.steps * recipe.updates_per_batch,
        seed=recipe.seed,
        num_generations=k,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=rollouts // (at_once * processes),
        max_completion_length=longest,
        temperature=rollout.temperature,
        top_p=rollout.top_p,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule
        if recipe.schedule != "constant"
        else "constant_with_warmup",
        warmup_steps=recipe.warmup_steps,
        num_iterations=recipe.updates_per_batch,
        beta=recipe.beta,
        use_bias_correction_kl=False,  # TRL's default multiplies the KL by the ratio; Eq. 18 not
        epsilon=recipe.clip,
        loss_type=recipe.loss,
        scale_rewards="group",  # advantage = (reward − group mean) / group std, as in the paper
        max_grad_norm=recipe.max_grad_norm,
        optim=OPTIMIZERS[recipe.optimizer],
        gradient_checkpointing=recipe.gradient_checkpointing,
        bf16=recipe.bf16,
        # Said outright, or several processes without an accelerator would not find each other.
        use_cpu=not torch.accelerator.is_available(),
        use_vllm=recipe.use_vllm,
        vllm_mode="colocate",
        vllm_gpu_memory_utilization=recipe.vllm.gpu_memory_utilization,
        vllm_max_model_length=recipe.vllm.max_model_len,
        vllm_enable_sleep_mode=recipe.vllm.enable_sleep_mode,
        vllm_importance_sampling_correction=recipe.vllm.importance_sampling_correction,
        vllm_importance_sampling_mode=recipe.vllm.importance_sampling_mode,
        vllm_importance_sampling_clip_max=recipe.vllm.importance_sampling_clip_max,
        vllm_importance_sampling_clip_min=recipe.vllm.importance_sampling_clip_min,
        logging_steps=recipe.updates_per_batch,
        # Between rounds only: TRL loses what it drew in one.
        save_strategy="steps" if save_every else "no",
        save_steps=max(1, save_every) * recipe.updates_per_batch,
        save_total_limit=1,
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


def _see_one_card() -> None:
    """Make one card visible where this process is alone: TRL refuses to spread over several."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
        os.environ["CUDA_VISIBLE_DEVICES"] = seen.split(",")[0]


def _need(package: str, says: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise UsageError(f"the recipe says {says}")


def _prepare_vllm() -> None:
    """Let vLLM run in this process, where TRL reaches into it to load each step's weights."""
    prepare_environment(VLLMSettings(), has_gpu())
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
    from transformers import AutoModelForImageTextToText, AutoProcessor

    source = policy_directory(recipe)
    where = {"revision": recipe.revision} if isinstance(source, str) else {}
    frozen = "float32" if recipe.lora is None else recipe.lora.frozen
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=getattr(torch, frozen),
            use_safetensors=True,
            **where,
        )
        loader: Any = AutoProcessor  # transformers leaves it untyped
        processor = loader.from_pretrained(source, **where)
    except (OSError, ValueError) as error:
        raise QiboxError(f"policy '{recipe.policy}' cannot be loaded: {error}") from error
    processor.tokenizer.padding_side = "left"  # Qwen's position code fails on right-padded prompts
    return model, processor
