"""TRL's GRPOTrainer with our rollout, our reward and our credit.

A round: this process's prompts are rolled out (:func:`qibox.grpo.rollout.roll_out`), then TRL is
handed the tokens and computes what its loss needs, then each token gets its turn's advantage in
place of TRL's one for the trajectory. Written against TRL 1.16; the underscored methods used here
are checked by tests.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch.nn.utils.rnn import pad_sequence
from transformers import set_seed
from trl.data_utils import prepare_multimodal_messages
from trl.trainer.grpo_trainer import GRPOTrainer

from qibox.engines.marks import keeping
from qibox.grpo.configuring import pixel_limits
from qibox.grpo.conversation import inserted_turn
from qibox.grpo.credit import token_advantages
from qibox.grpo.judging import Rating
from qibox.grpo.lagrange import Multiplier, cost_of
from qibox.grpo.monitors.probes import Probes, over_refusal
from qibox.grpo.monitors.reflections import likeness
from qibox.grpo.rollout import Rate, Trajectory, Turns, reward_of, roll_out
from qibox.grpo.rollout_rows import rollout_metrics, rollout_row
from qibox.grpo.rounds import RoundSampler, noise_seed
from qibox.grpo.step_judge import StepJudge
from qibox.grpo.vision_tokens import forbid, vision_tokens, vllm_bias
from qibox.grpo.writing import PolicyWriter, turn_ends
from qibox.manifests.recipe import Credit, RecipeManifest

Row = dict[str, Any]


class SafetyTrainer(GRPOTrainer):
    """GRPO whose rollouts reflect on unsafe drafts and correct them; every rollout is recorded."""

    def __init__(
        self, *, recipe: RecipeManifest, rate: Rate, record: Callable[[list[Row]], None], **kw: Any
    ) -> None:
        super().__init__(reward_funcs=[trajectory_reward], rollout_func=_hand_over, **kw)
        self._recipe = recipe
        self._rate = rate
        self._record = record
        self.multiplier = Multiplier(recipe.cost_limit, recipe.multiplier_rate)
        self._extra_rollouts = 0  # of the round
        self._drawn: Row = {}  # what TRL's rollout function returns
        self.probes: Probes | None = None
        self.held_out: Any = None  # a dataset of harmless samples that are not trained on
        self._settle_pictures()
        marks = () if recipe.reasoning is None else recipe.reasoning.all
        self._reading = keeping(self._tokenizer, marks)
        rollout = recipe.rollout
        self._turns = Turns([], [])
        if rollout.unsafe == "reflect":
            ends = turn_ends(self)
            self._turns = Turns(
                inserted_turn(
                    self.processing_class,
                    rollout.reflection_prompt,
                    ends,
                    recipe.template_arguments,
                ),
                inserted_turn(
                    self.processing_class,
                    rollout.correction_prompt,
                    ends,
                    recipe.template_arguments,
                ),
            )

    def _settle_pictures(self) -> None:
        """Nothing writes a picture's tokens, and vLLM reads pictures as the policy does."""
        policy = self.accelerator.unwrap_model(self.model)
        tokens = vision_tokens(policy.config, self.eos_token_ids)
        forbid(policy, tokens)
        if self.ref_model is not None:
            forbid(self.accelerator.unwrap_model(self.ref_model), tokens)
        if self.use_vllm:
            vllm = self.vllm_generation
            vllm.generation_kwargs["logit_bias"] = vllm_bias(tokens)
            # TRL lets vLLM load the start policy's processor as it is
            pictures = vllm.llm.llm_engine.model_config.multimodal_config
            pictures.mm_processor_kwargs = pixel_limits(self._recipe)

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        recipe = self._recipe
        return RoundSampler(
            samples=len(self.train_dataset if dataset is None else dataset),
            prompts=recipe.prompts_per_step,
            k=recipe.samples_per_prompt,
            rounds=recipe.steps,
            repeat=self.num_iterations * self.args.steps_per_generation,
            seed=recipe.seed,
        )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load a checkpoint's weights; transformers 5.17 loads none of a model like Qwen2.5-VL's.

        It saves weights under their published names, and here takes them for the model's own,
        without a word where none fits.
        """
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.is_fsdp_enabled or self.is_deepspeed_enabled or hasattr(self.model, "peft_config"):
            return
        own = self.accelerator.unwrap_model(self.model if model is None else model)
        kept = type(own).from_pretrained(resume_from_checkpoint, dtype=own.dtype)
        own.load_state_dict(kept.state_dict())

    def save_checkpoint(self) -> None:
        """Keep a checkpoint of what has been learned so far, between two rounds."""
        trainer: Any = self  # transformers' methods carry no types
        trainer._save_checkpoint(self.model, trial=None)
        trainer.callback_handler.on_save(self.args, self.state, trainer.control)

    def _generate_and_score_completions(self, inputs: list[Row]) -> Row:
        number = self.state.global_step // self.num_iterations  # of the round, from 0
        set_seed(noise_seed(self._recipe.seed, number, self.accelerator.process_index))
        inputs, trajectories, prompt_ids = self._draw(inputs, number)  # B each
        self._drawn = handed_over(trajectories, prompt_ids, self._recipe.credit)
        output: Row = super()._generate_and_score_completions(inputs)
        self._keep(number + 1, inputs, trajectories, output)
        spread = token_advantages(
            [each.advantages for each in trajectories], [each.kinds() for each in trajectories]
        )
        rows = [torch.tensor(row, dtype=torch.float32) for row in spread]
        advantages = pad_sequence(rows, batch_first=True)  # (B, T)
        assert advantages.shape == output["completion_ids"].shape
        return output | {"advantages": advantages.to(output["completion_ids"].device)}

    def _draw(
        self, inputs: list[Row], number: int
    ) -> tuple[list[Row], list[Trajectory], list[list[int]]]:
        """Roll out each row, then others in the place of groups that teach nothing."""
        k = self._recipe.samples_per_prompt
        inputs, everything = list(inputs), list(range(len(inputs)))
        trajectories, prompt_ids, writer = self._roll(inputs, inputs[0])
        self._extra_rollouts = 0
        spare = iter(self._get_train_sampler().spare(number))
        for _ in range(self._recipe.refill):
            flat, mine = writer.gather(np.array([each.zero_variance for each in trajectories]))
            taken = dict(zip(np.flatnonzero(flat.reshape(-1, k).any(axis=1)), spare, strict=False))
            if not taken:
                break
            self._extra_rollouts += k * len(taken)
            rows = [row for row in everything if (mine.start + row) // k in taken]
            others = [self.train_dataset[taken[(mine.start + row) // k]] for row in rows]
            drawn, ids, writer = self._roll(others, inputs[0])
            for place, row in enumerate(rows):
                inputs[row], trajectories[row] = others[place], drawn[place]
                prompt_ids[row] = ids[place]
        return inputs, trajectories, prompt_ids

    def _roll(
        self, inputs: list[Row], stand_in: Row
    ) -> tuple[list[Trajectory], list[list[int]], PolicyWriter]:
        """Roll out one trajectory for each row; also the prompts' tokens."""
        recipe = self._recipe
        writer = PolicyWriter(self, with_images(inputs), with_images([stand_in])[0], self._reading)
        ids = [row["sample_id"] for row in inputs]
        compares = isinstance(self._rate, StepJudge) and self._rate.compares
        drawn = roll_out(
            ids, writer, self._rate, self._turns, recipe, self._worth, compares=compares
        )
        return drawn, writer.prompt_ids, writer

    def _worth(self, rating: Rating) -> float | None:
        if self._recipe.objective == "lagrangian":
            return self.multiplier.worth(rating)
        return reward_of(rating, self._recipe.reward)

    def _keep(
        self, step: int, inputs: list[Row], trajectories: list[Trajectory], output: Row
    ) -> None:
        """Record the rollouts of all processes, and what to watch in them."""
        advantages = output["advantages"].tolist()  # (B,), TRL's own
        prompt_tokens = output["prompt_mask"].sum(dim=1).tolist()
        first = self.accelerator.process_index * len(inputs)
        rows: list[Row] = gather_object(
            [
                {
                    **rollout_row(
                        each,
                        step,
                        (first + place) % self.num_generations,
                        self._recipe.credit,
                    ),
                    **self._priced(each),
                    "risk": inputs[place]["risk"],
                    "advantage": advantages[place],
                    "prompt_tokens": prompt_tokens[place],
                }
                for place, each in enumerate(trajectories)
            ]
        )
        if self.accelerator.is_main_process:
            self._record(rows)
        watched = rollout_metrics(rows)
        if self._recipe.refill:
            watched["extra_rollouts"] = self._extra_rollouts
        if self._recipe.objective == "lagrangian":
            watched["multiplier"] = self.multiplier.value
            self.multiplier.ascend([row["cost"] for row in rows])
        if self.probes is not None:
            watched |= likeness(rows) | self.probes.second_opinion(step, rows)
            watched |= self._ask_held_out() if self.probes.due(step) else {}
        for name, value in watched.items():
            if value is not None:
                self._metrics["train"][name].append(value)

    def _ask_held_out(self) -> dict[str, float | None]:
        """Let the policy answer harmless samples that it is not trained on; all processes do."""
        if not self.held_out:
            return {}
        world = self.accelerator.num_processes
        rows = range(self.accelerator.process_index, len(self.held_out), world)
        inputs = [self.held_out[row] for row in rows]
        writer = PolicyWriter(self, with_images(inputs), with_images([self.held_out[0]])[0])
        mine = list(range(len(inputs)))
        drawn = writer.write(mine, [[] for _ in mine], self._recipe.rollout.max_draft_tokens)
        texts = [writer.text(each.ids) for each in drawn]
        ratings = self._rate([row["sample_id"] for row in inputs], texts)
        return over_refusal(gather_object(ratings))

    def _priced(self, each: Trajectory) -> Row:
        if self._recipe.objective != "lagrangian":
            return {}
        return {"cost": cost_of(each.final_rating), "multiplier": self.multiplier.value}


def trajectory_reward(trajectory_reward: list[float | None], **_: Any) -> list[float | None]:
    """Return the rewards that the rollout found; None takes a row out of its group's baseline."""
    return trajectory_reward


def handed_over(trajectories: list[Trajectory], prompt_ids: list[list[int]], credit: Credit) -> Row:
    """Return what TRL's rollout function must: tokens, masks and rewards."""
    logprobs = [each.logprobs() for each in trajectories]
    return {
        "prompt_ids": prompt_ids,
        "completion_ids": [each.completion_ids() for each in trajectories],
        "logprobs": None if None in logprobs else logprobs,
        "env_mask": [each.mask(credit) for each in trajectories],
        "trajectory_reward": [each.reward for each in trajectories],
    }


def with_images(inputs: list[Row]) -> list[Any]:
    """Return the prompts as TRL prepares them: images inside the messages, if any row has one."""
    if not any(row["images"] for row in inputs):
        return [row["prompt"] for row in inputs]
    return [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in inputs]


def _hand_over(prompts: list[Any], trainer: GRPOTrainer) -> Row:
    assert isinstance(trainer, SafetyTrainer)
    return trainer._drawn
