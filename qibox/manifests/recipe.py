"""The training recipe: how a policy is trained on a selection."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from qibox.fields import Added, Deciding, Operating
from qibox.manifests.asking import Marks, Template, TemplateArguments
from qibox.manifests.common import Checked, Manifest
from qibox.manifests.monitors import Monitors

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Unsafe = Literal["reflect", "discard", "plain"]
Reward = Literal["structured", "scalar"]
Objective = Literal["reward", "lagrangian"]
ImportanceSampling = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
Credit = Literal["turn", "trajectory", "recovery", "correction"]


class Rollout(Checked):
    """What happens to an unsafe draft.

    reflect: the policy says why the draft was unsafe and answers again; the correction is rewarded.
    discard: the draft leaves its group, without reward or gradient. plain: it is rewarded as it is.
    """

    unsafe: Deciding[Unsafe] = "reflect"
    reflection_prompt: Deciding[str]
    correction_prompt: Deciding[str]
    max_draft_tokens: Deciding[Annotated[int, Field(ge=1)]]  # of the correction as well
    max_reflection_tokens: Deciding[Annotated[int, Field(ge=1)]]
    temperature: Deciding[Positive] = 1.0
    top_p: Deciding[Annotated[float, Field(gt=0, le=1)]] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _train_on_has_moved(cls, values: Any) -> Any:
        if isinstance(values, dict) and "train_on" in values:
            raise ValueError(
                f"train_on '{values['train_on']}' is now the recipe's own credit: turn, trajectory "
                "(once all), recovery or correction"
            )
        return values


class Vllm(Checked):
    """How vLLM draws the rollouts on the training's devices; names are vLLM's and TRL's own.

    vLLM computes in another order than the policy that learns, so a token has another probability
    there. Importance sampling weighs its part of the loss by the ratio of the two.
    """

    gpu_memory_utilization: Operating[Annotated[float, Field(gt=0, le=1)]] = 0.3
    # tokens; null: the model's own
    max_model_len: Deciding[Annotated[int, Field(ge=1)] | None] = None
    enable_sleep_mode: Operating[bool] = False  # give the memory back during the optimiser's step
    importance_sampling_correction: Added[bool] = True
    # truncate: a ratio beyond the bounds is brought to the nearer one. mask: it counts as 0. token:
    # each has its own. sequence: one for all tokens, multiplied over draft, reflection and
    # correction, so that a long trajectory is soon beyond the bounds.
    importance_sampling_mode: Added[ImportanceSampling] = "token_truncate"
    importance_sampling_clip_max: Added[Positive | None] = 3.0
    importance_sampling_clip_min: Added[Positive | None] = None

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        least, most = self.importance_sampling_clip_min, self.importance_sampling_clip_max
        if least is None and most is None:
            raise ValueError(
                "importance_sampling_clip_max and importance_sampling_clip_min are both null: give "
                "one, or set importance_sampling_correction: false"
            )
        if least is not None and most is not None and least >= most:
            raise ValueError(
                f"importance_sampling_clip_min {least:g} must be less than "
                f"importance_sampling_clip_max {most:g}"
            )
        return self


class Lora(Checked):
    """Low-rank adapters (arXiv 2106.09685): W + alpha / rank · B·A, of which A and B learn."""

    rank: Deciding[Annotated[int, Field(ge=1, le=65_536)]]
    alpha: Deciding[Annotated[int, Field(ge=1)] | None] = None  # null: twice the rank
    # last parts of layers' names; null: every linear layer of the language model
    targets: Deciding[tuple[str, ...] | None] = None
    frozen: Deciding[Literal["float32", "bfloat16"]] = "float32"  # weights that do not learn
    keep: Operating[bool] = False  # write the adapters too, beside the model they are merged into


class RecipeManifest(Manifest):
    """A policy, how it rolls out, how it is rewarded and how it is optimised."""

    policy: Deciding[str]  # hub id, directory or builtin:<name>
    revision: Deciding[str | None] = None
    size_b: Operating[Positive | None] = None  # the policy's parameters, billions
    judge: Deciding[str | None] = None  # null: the run's first judge
    # Cards, the last of those visible, for a judge that vLLM runs: the training starts and ends its
    # server there. 0: none, so that such a judge is asked where `qibox serve` runs it.
    judge_gpus: Operating[Annotated[int, Field(ge=0, le=1024)]] = 0
    judge_deadline_s: Operating[Positive] = 900.0  # for the verdicts on all that a step drew
    # How the policy is asked, in training and when it is evaluated; null: as the selection's panel
    system: Added[str | None] = None  # "": none
    prompt: Added[Template | None] = None  # the user's turn, {question} within
    template_arguments: Added[TemplateArguments] = {}  # for its chat template
    # how it shows its reasoning; null: by <think> and </think>, if at all
    reasoning: Added[Marks | None] = None
    rollout: Deciding[Rollout]
    # Longer prompts, their pictures' tokens counted, are left out and told of; null: only those
    # that leave no room for what is written after them. Nothing is ever cut off.
    max_prompt_tokens: Added[Annotated[int, Field(ge=1)] | None] = None
    # Pictures are shrunk or enlarged to so many pixels, and by the saved policy's processor as
    # well; null: the start policy's own limits
    min_pixels: Added[Annotated[int, Field(ge=1)] | None] = None
    max_pixels: Added[Annotated[int, Field(ge=1)] | None] = None
    # structured: score_verdict of the final response. scalar: its answer score alone, without the
    # reasoning and without penalties, for comparison.
    reward: Deciding[Reward] = "structured"
    # reward: as above. lagrangian: helpfulness, with the mean harm held below cost_limit by a
    # multiplier (qibox.grpo.lagrange); needs rollout.unsafe plain.
    objective: Added[Objective] = "reward"
    cost_limit: Added[Annotated[float, Field(ge=0, le=1)]] = 0.05  # of the mean harm, 0 to 1
    multiplier_rate: Added[Positive] = 0.5  # how far the multiplier moves a step
    # turn: draft and recovery (reflection, correction) have an advantage each. trajectory: one for
    # all turns. recovery, correction: one, and only these turns of a corrected trajectory learn.
    credit: Deciding[Credit] = "turn"
    steps: Deciding[Annotated[int, Field(ge=1, le=10_000_000)]]  # rounds of rollouts
    samples_per_prompt: Deciding[Annotated[int, Field(ge=2, le=10_000)]] = 5  # K, the group
    prompts_per_step: Deciding[Annotated[int, Field(ge=1)]]
    # in one forward pass, which the loss bnpo averages over; may be less than a group; null: all of
    # a step's
    rollouts_per_device: Deciding[Annotated[int, Field(ge=1)] | None] = None
    # Updates made from one batch of rollouts, each over all of it (TRL's num_iterations). With one,
    # a token's ratio is always 1 and the clip never acts.
    updates_per_batch: Added[Annotated[int, Field(ge=1)]] = 1
    # How often in a step groups whose every advantage is 0 are replaced by those of other prompts,
    # at most (DAPO's dynamic sampling); 0: never.
    refill: Added[Annotated[int, Field(ge=0)]] = 0
    learning_rate: Deciding[Positive]
    schedule: Deciding[Literal["constant", "linear", "cosine"]] = "linear"  # after the warm-up
    warmup_steps: Deciding[Annotated[int, Field(ge=0)]] = 0
    # weight of the KL term; 0: KL is not measured
    beta: Deciding[Annotated[float, Field(ge=0)]] = 0.0
    clip: Deciding[Annotated[float, Field(gt=0, lt=1)]] = 0.2  # ε of the clipped ratio
    loss: Deciding[Literal["grpo", "dapo", "dr_grpo", "bnpo"]] = "grpo"  # how tokens are averaged
    max_grad_norm: Deciding[Positive] = 1.0
    lora: Added[Lora | None] = None  # null: every weight learns
    # adamw_8bit keeps its moments in 8 bits; needs the package bitsandbytes and a GPU
    optimizer: Added[Literal["adamw", "adamw_8bit"]] = "adamw"
    gradient_checkpointing: Operating[bool] = False
    bf16: Deciding[bool] = False  # forward and backward pass; weights are float32 either way
    use_vllm: Deciding[bool] = False  # draw rollouts with vLLM, in the training's processes
    vllm: Deciding[Vllm] = Vllm()
    monitors: Operating[Monitors] = Monitors()  # what is watched for as it trains
    seed: Deciding[Annotated[int, Field(ge=0, lt=2**32)]] = 0  # as numpy takes them

    @model_validator(mode="after")
    def _lagrangian_is_plain(self) -> Self:
        if self.objective == "lagrangian" and self.rollout.unsafe != "plain":
            raise ValueError(
                f"objective lagrangian goes with rollout.unsafe plain, not {self.rollout.unsafe}"
            )
        return self

    @model_validator(mode="after")
    def _pixels_are_in_order(self) -> Self:
        least, most = self.min_pixels, self.max_pixels
        if least is not None and most is not None and least > most:
            raise ValueError(f"min_pixels {least} is more than max_pixels {most}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _micro_batches_count_rollouts(cls, values: Any) -> Any:
        if isinstance(values, dict) and "prompts_per_device" in values:
            raise ValueError(
                f"prompts_per_device {values['prompts_per_device']} is now rollouts_per_device, "
                "samples_per_prompt times as many or fewer"
            )
        return values
