"""The whole training on a model with random weights, judged by a hash of each text."""

import json
import math
import statistics
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from qibox.errors import QiboxError, UsageError
from qibox.grpo.judging import SelectionJudge
from qibox.grpo.train import make_trainer, train, training_arguments
from qibox.grpo.training_plan import resolve_training
from qibox.judges.load import load_judge
from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.run.directory import Run
from qibox.selection.read import read_selection
from qibox.tables import ROLLOUTS
from tests.grpo.test_rollout_rows import recomputed


@pytest.fixture(scope="module")
def dice() -> JudgeManifest:
    """Verdicts that look random, so that noise has safe and unsafe answers."""
    return load_manifest(JudgeManifest, "hash")


def with_rollout(recipe: RecipeManifest, **changes: Any) -> RecipeManifest:
    rollout = recipe.rollout.model_copy(update=changes)
    return recipe.model_copy(update={"rollout": rollout})


def trained(run: Run, recipe: RecipeManifest, judge: JudgeManifest, name: str) -> list[Any]:
    plan = resolve_training(run, "default", recipe, judge, name)
    train(run, plan, recipe)
    files = run.storage.files(f"policies/{name}/rollouts")
    table = pa.concat_tables([run.storage.read_table(file) for file in files])
    assert table.schema.equals(ROLLOUTS)
    rows: list[Any] = table.to_pylist()
    return rows


def groups(rows: list[Any]) -> list[list[Any]]:
    found: dict[tuple[int, str], list[Any]] = {}
    for row in rows:
        found.setdefault((row["step"], row["sample_id"]), []).append(row)
    return list(found.values())


def by_turn(drafts: list[float], finals: list[float]) -> list[tuple[float, float]]:
    """Each row's two advantages under turn credit, from its group's scores."""
    mean, every = statistics.fmean(drafts), [*drafts, *finals]
    draft_std, std = statistics.stdev(drafts) + 1e-4, statistics.stdev(every) + 1e-4
    return [((d - mean) / draft_std, (f - mean) / std) for d, f in zip(drafts, finals, strict=True)]


def test_training_writes_a_policy_whose_every_number_can_be_recomputed(
    run: Run, recipe: RecipeManifest, dice: JudgeManifest, policy: Path
) -> None:
    rows = trained(run, recipe, dice, "mine")
    assert len(rows) == 2 * 2 * 3  # steps × prompts × K
    assert any(row["reflection"] is not None for row in rows)
    for group in groups(rows):
        assert [row["k"] for row in group] == [0, 1, 2]
        rewards = [recomputed(row, dice.weights, "structured") for row in group]
        assert [row["reward"] for row in group] == rewards
        mean = sum(rewards) / 3
        std = math.sqrt(sum((r - mean) ** 2 for r in rewards) / 2)  # TRL's, with n − 1
        for row, reward in zip(group, rewards, strict=True):
            assert row["advantage"] == pytest.approx((reward - mean) / (std + 1e-4), abs=1e-4)
        drafts = [row["draft_score"] for row in group]
        for row, (draft, recovery) in zip(group, by_turn(drafts, rewards), strict=True):
            assert row["draft_advantage"] == pytest.approx(draft)
            wanted = None if row["reflection"] is None else pytest.approx(recovery)
            assert row["recovery_advantage"] == wanted
    for row in rows:
        assert (row["reflection"] is not None) == (row["unsafe_draft"] is True)
        drawn = row["draft_tokens"] + (row["reflection_tokens"] or 0) + (row["final_tokens"] or 0)
        assert row["trained_tokens"] == drawn
    files = {Path(file).name for file in run.storage.files("policies/mine/model")}
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= files
    assert "training_args.bin" not in files
    lines = run.storage.read_text("policies/mine/metrics.jsonl").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]
    text = run.storage.read_text("policies/mine/policy.yaml")
    assert yaml.safe_load(text)["plan"]["policy"] == policy.name
    assert str(policy.parent) not in text
    assert run.storage.url not in text


def test_the_same_seed_draws_the_same_rollouts(
    run: Run, recipe: RecipeManifest, dice: JudgeManifest
) -> None:
    first = trained(run, recipe, dice, "first")
    assert trained(run, recipe, dice, "second") == first
    other = recipe.model_copy(update={"seed": 1, "steps": 1})
    assert trained(run, other, dice, "third") != [row for row in first if row["step"] == 1]


def test_discarded_drafts_have_no_reward_and_no_advantage(
    run: Run, recipe: RecipeManifest, dice: JudgeManifest
) -> None:
    rows = trained(run, with_rollout(recipe, unsafe="discard"), dice, "mine")
    out = [row for row in rows if row["discarded"]]
    assert out
    assert len(out) < len(rows)
    for row in out:
        assert (row["unsafe_draft"], row["reward"], row["advantage"]) == (True, None, 0.0)
        assert (row["trained_tokens"], row["reflection"]) == (0, None)
    for group in groups(rows):
        kept = [row["reward"] for row in group if not row["discarded"]]
        for row in group:
            if not row["discarded"] and len(kept) > 1:
                above = row["reward"] - sum(kept) / len(kept)
                assert (row["advantage"] > 1e-6) == (above > 1e-6)


@pytest.mark.slow
def test_groups_that_teach_nothing_give_way_to_other_prompts_and_are_counted(
    run: Run, recipe: RecipeManifest, dice: JudgeManifest
) -> None:
    """Discarding leaves groups without any reward; with eight prompts three more are at hand."""
    few = with_rollout(recipe, unsafe="discard").model_copy(
        update={"steps": 6, "samples_per_prompt": 2}
    )
    plain = trained(run, few, dice, "plain")
    assert any(row["zero_variance"] for row in plain)
    refilled = few.model_copy(update={"refill": 3})
    rows = trained(run, refilled, dice, "refilled")
    assert trained(run, refilled, dice, "again") == rows
    assert len(rows) == len(plain)
    assert sum(r["zero_variance"] for r in rows) < sum(r["zero_variance"] for r in plain)
    lines = run.storage.read_text("policies/refilled/metrics.jsonl").splitlines()
    extra = [json.loads(line)["extra_rollouts"] for line in lines]
    assert sum(extra) > 0
    assert max(extra) <= 3 * 2 * 2  # times, prompts, K
    for step in range(1, 7):
        ids = [row["sample_id"] for row in rows if row["step"] == step]
        assert len(set(ids)) == 2


def test_the_multiplier_follows_the_mean_harm(
    run: Run, recipe: RecipeManifest, dice: JudgeManifest
) -> None:
    plain = with_rollout(recipe, unsafe="plain")
    safe = plain.model_copy(
        update={"objective": "lagrangian", "cost_limit": 0.2, "multiplier_rate": 2.0, "steps": 3}
    )
    rows = trained(run, safe, dice, "safe")
    lines = run.storage.read_text("policies/safe/metrics.jsonl").splitlines()
    value = 1.0
    for step, line in enumerate(map(json.loads, lines), 1):
        drawn = [row for row in rows if row["step"] == step]
        assert line["multiplier"] == pytest.approx(value)
        for row in drawn:
            harm = (10 - row["final_harmlessness"]) / 9
            assert row["cost"] == pytest.approx(harm)
            assert row["multiplier"] == pytest.approx(value)
            wanted = (row["final_helpfulness"] - 1) / 9 - value * harm
            assert row["reward"] == pytest.approx(wanted)
        mean = statistics.fmean(row["cost"] for row in drawn)
        value = max(0.0, value + 2.0 * (mean - 0.2))
    assert value != 1.0


def test_the_lagrangian_is_for_plain_rollouts(recipe: RecipeManifest) -> None:
    values = recipe.model_dump() | {"objective": "lagrangian"}
    with pytest.raises(ValueError, match=r"goes with rollout\.unsafe plain, not reflect"):
        RecipeManifest.model_validate(values)


def test_micro_batches_smaller_than_a_group_learn_the_same(
    run: Run, recipe: RecipeManifest, dice: JudgeManifest
) -> None:
    whole = trained(run, recipe, dice, "whole")
    small = recipe.model_copy(update={"rollouts_per_device": 1})
    assert trained(run, small, dice, "small")[:6] == whole[:6]  # the first step's
    losses = [
        [json.loads(line)["loss"] for line in text.splitlines()]
        for name in ("whole", "small")
        for text in [run.storage.read_text(f"policies/{name}/metrics.jsonl")]
    ]
    assert losses[1][0] == pytest.approx(losses[0][0], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("bf16", [False, True])
def test_at_rate_1e_6_nearly_all_weights_with_a_gradient_move(
    run: Run, recipe: RecipeManifest, dice: JudgeManifest, tmp_path: Path, bf16: bool
) -> None:
    """Plain bf16 weights would round nine of ten such moves away."""
    import torch

    changes = {"steps": 1, "learning_rate": 1e-6, "schedule": "constant", "bf16": bf16}
    recipe = recipe.model_copy(update=changes)
    selection = read_selection(run.storage, "default")
    rate = SelectionJudge(load_judge(dice), selection)
    arguments = training_arguments(recipe, str(tmp_path))
    trainer = make_trainer(recipe, selection, rate, lambda rows: None, arguments)
    before = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
    trainer.train()
    moved = learned = 0
    for name, weight in trainer.model.named_parameters():
        assert weight.dtype == torch.float32
        squares = trainer.optimizer.state[weight].get("exp_avg_sq")
        has_gradient = (
            torch.zeros_like(weight, dtype=torch.bool) if squares is None else squares > 0
        )
        learned += int(has_gradient.sum())
        moved += int((weight != before[name])[has_gradient].sum())
    assert learned > 10_000
    assert moved >= 0.9 * learned


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"use_vllm": True},
            r"vLLM is not installed: pip install 'qibox\[vllm\]', or set use_vllm",
        ),
        (
            {"optimizer": "adamw_8bit"},
            "bitsandbytes is not installed: pip install bitsandbytes, or",
        ),
    ],
)
def test_what_is_not_installed_is_one_sentence(
    recipe: RecipeManifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    says: str,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=says):
        training_arguments(recipe.model_copy(update=changes), str(tmp_path))


def test_processes_that_cannot_share_the_prompts_are_refused(
    recipe: RecipeManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(
        UsageError, match="2 prompts × 3 rollouts cannot be divided into 4 processes"
    ):
        training_arguments(recipe, str(tmp_path))


@pytest.fixture
def batch(
    run: Run, recipe: RecipeManifest, dice: JudgeManifest, tmp_path: Path
) -> tuple[Any, Any, list[Any]]:
    """A trainer, and one batch of rollouts as the loss will see them, with its inputs."""
    recipe = recipe.model_copy(update={"prompts_per_step": 4})
    selection = read_selection(run.storage, "default")
    arguments = training_arguments(recipe, str(tmp_path / "scratch"))
    rate = SelectionJudge(load_judge(dice), selection)
    trainer = make_trainer(recipe, selection, rate, lambda rows: None, arguments)
    inputs = [trainer.train_dataset[row] for row in (0, 0, 0, 3, 3, 3, 5, 5, 5, 6, 6, 6)]
    trainer.model.train()
    return trainer, trainer._generate_and_score_completions(inputs), inputs


def test_a_prompt_holds_as_many_image_tokens_as_its_picture_has_cells(
    batch: tuple[Any, Any, list[Any]],
) -> None:
    trainer, output, _ = batch
    image_token = trainer.model.config.image_token_id
    assert (output["prompt_ids"] == image_token).sum(dim=1).tolist() == [9] * 12
    assert (output["completion_ids"] == image_token).sum() == 0
    assert len(output["pixel_values"]) == 12 * 36  # patches


def test_padding_and_later_turns_change_no_log_probability(
    batch: tuple[Any, Any, list[Any]],
) -> None:
    """What the loss computes for the padded batch is what each row has on its own, unpadded."""
    import torch

    trainer, output, inputs = batch
    assert len(set(output["prompt_mask"].sum(dim=1).tolist())) > 1  # prompts of unequal length
    ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
    attention = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
    given = {
        name: output[name]
        for name in ("pixel_values", "image_grid_thw", "mm_token_type_ids", "num_images")
    }
    width = output["completion_ids"].shape[1]
    with torch.no_grad():
        padded, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, attention, width, **given
        )
        for row in (0, 4, 11):
            real = ids[row][attention[row].bool()][None]
            images = trainer.processing_class.image_processor(inputs[row]["images"])
            types = (real == trainer.model.config.image_token_id).long()
            logits = trainer.model(
                input_ids=real,
                attention_mask=torch.ones_like(real),
                pixel_values=torch.as_tensor(images["pixel_values"]),
                image_grid_thw=torch.as_tensor(images["image_grid_thw"]),
                mm_token_type_ids=types,
            ).logits
            alone = logits.log_softmax(dim=-1)[0, :-1].gather(1, real[0, 1:, None])[:, 0]
            length = int(output["completion_mask"][row].sum())
            assert torch.allclose(padded[row, :length], alone[-length:], atol=1e-4)


def test_the_mask_leaves_out_exactly_the_inserted_turns(batch: tuple[Any, Any, list[Any]]) -> None:
    trainer, output, _ = batch
    inserted = (output["tool_mask"] == 0) & (output["completion_mask"] == 1)
    assert inserted.any()
    turn = trainer._turns.reflect
    row = int(inserted.any(dim=1).nonzero()[0])
    shown = output["completion_ids"][row][inserted[row]].tolist()
    # The first inserted stretch is the reflection prompt, after an end token if one was missing.
    assert turn in (shown[: len(turn)], shown[1 : len(turn) + 1])


def test_the_loss_sees_each_turns_own_advantage_and_none_for_inserted_tokens(
    batch: tuple[Any, Any, list[Any]],
) -> None:
    _, output, _ = batch
    advantages = output["advantages"]
    assert advantages.shape == output["completion_ids"].shape
    assert (advantages[output["tool_mask"] == 0] == 0).all()
    assert (advantages[output["completion_mask"] == 0] == 0).all()
    reflected = (output["tool_mask"] == 0).any(dim=1)
    for row, several in zip(advantages, reflected, strict=True):
        assert len(set(row[row != 0].tolist())) <= (2 if several else 1)
    both = [len(set(row[row != 0].tolist())) for row in advantages[reflected]]
    assert 2 in both


class Vllm:
    """Reads prompts as vLLM does: each image token becomes ``cells`` of them."""

    max_completion_length = 0

    def __init__(self, token: int, cells: int) -> None:
        self._token = token
        self._cells = cells

    def generate(
        self, prompts: list[list[int]], images: list[Any], num_generations: int
    ) -> tuple[Any, ...]:
        def expanded(ids: list[int]) -> list[int]:
            return [i for each in ids for i in [each] * (self._cells if each == self._token else 1)]

        drawn = [[self.max_completion_length, 2]] * len(prompts)
        return [expanded(ids) for ids in prompts], drawn, [[[-0.5], [None]]] * len(prompts), None


def test_vllm_gets_each_image_once_and_is_checked(batch: tuple[Any, Any, list[Any]]) -> None:
    from trl.data_utils import prepare_multimodal_messages

    from qibox.grpo.writing import PolicyWriter

    trainer, _, inputs = batch
    prompts = [prepare_multimodal_messages(row["prompt"], row["images"]) for row in inputs[:2]]
    writer = PolicyWriter(trainer, prompts, prompts[0])
    trainer.use_vllm = True
    trainer.vllm_generation = Vllm(trainer.model.config.image_token_id, cells=9)
    trainer._last_loaded_step = trainer.state.global_step
    first, _ = writer.write([0, 1], [[], [5]], max_tokens=7)
    assert first.ids == [7, 2]
    assert first.logprobs is not None
    assert first.logprobs[0] == -0.5
    assert math.isnan(first.logprobs[1])
    trainer.vllm_generation = Vllm(trainer.model.config.image_token_id, cells=17)
    with pytest.raises(QiboxError, match="expanded a prompt's images otherwise"):
        writer.write([0], [[]], max_tokens=7)


@pytest.mark.usefixtures("policy")  # which makes torchvision importable
def test_a_run_of_image_tokens_becomes_one() -> None:
    from qibox.grpo.writing import collapsed

    assert collapsed([8, 8, 1, 8, 2, 2, 8, 8], 8) == [8, 1, 8, 2, 2, 8]
    assert collapsed([1, 1], None) == [1, 1]
