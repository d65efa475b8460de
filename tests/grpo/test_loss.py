"""The trainer's loss and gradient against the paper's equation, computed by hand in float64."""

from pathlib import Path
from typing import Any

import pytest

from qibox.grpo.configuring import training_arguments
from qibox.grpo.judging import SelectionJudge
from qibox.grpo.train import make_trainer
from qibox.judges.load import load_judge
from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.run.directory import Run
from qibox.selection.read import read_selection

CLIP, BETA = 0.2, 0.05


@pytest.fixture
def trainer(run: Run, recipe: RecipeManifest, tmp_path: Path) -> Any:
    """A trainer in float64 that makes two updates from each batch."""
    changes = {"updates_per_batch": 2, "beta": BETA, "clip": CLIP, "prompts_per_step": 4}
    recipe = recipe.model_copy(update=changes)
    selection = read_selection(run.storage, "default")
    rate = SelectionJudge(load_judge(load_manifest(JudgeManifest, "hash")), selection)
    arguments = training_arguments(recipe, str(tmp_path / "scratch"))
    made = make_trainer(recipe, selection, rate, lambda rows: None, arguments)
    made.model.double().train()
    made.ref_model.double()
    made.current_gradient_accumulation_steps = 1  # which TRL sets as it trains
    return made


def by_hand(trainer: Any, batch: dict[str, Any], images: list[Any]) -> tuple[Any, Any, int]:
    """Eq. 18 of arXiv 2510.06871, a trajectory at a time and without padding.

    Minus the mean over trajectories of the mean over their trained tokens of
    min(r·A, clip(r, 1 ± ε)·A) − β·KL, where KL = π_ref/π − log(π_ref/π) − 1. Also all ratios, and
    how many trajectories have inserted tokens.
    """
    import torch

    losses, ratios, with_inserted = [], [], 0
    for row in range(len(images)):
        length = int(batch["completion_mask"][row].sum())
        prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()]
        ids = torch.cat([prompt, batch["completion_ids"][row][:length]])[None]
        pixels = trainer.processing_class.image_processor(images[row])
        logits = trainer.model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=torch.as_tensor(pixels["pixel_values"]).double(),
            image_grid_thw=torch.as_tensor(pixels["image_grid_thw"]),
            mm_token_type_ids=(ids == trainer.model.config.image_token_id).long(),
        ).logits
        own = logits.log_softmax(dim=-1)[0, :-1].gather(1, ids[0, 1:, None])[-length:, 0]
        old, ref = (batch[n][row, :length] for n in ("old_per_token_logps", "ref_per_token_logps"))
        worth = batch["advantages"][row, :length]
        trained = batch["tool_mask"][row, :length].bool()
        ratio = torch.exp(own - old)
        surrogate = torch.minimum(ratio * worth, ratio.clamp(1 - CLIP, 1 + CLIP) * worth)
        kl = torch.exp(ref - own) - (ref - own) - 1
        losses.append((surrogate - BETA * kl)[trained].mean())
        ratios.append((ratio * worth.sign())[trained].detach())
        with_inserted += int((~trained).any())
    return -torch.stack(losses).mean(), torch.cat(ratios), with_inserted


def gradient(loss: Any, trainer: Any) -> Any:
    import torch

    weights = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    return torch.cat([grad.flatten() for grad in found if grad is not None])


def test_the_second_update_follows_the_papers_equation(trainer: Any) -> None:
    import torch

    inputs = [trainer.train_dataset[row] for row in (0, 0, 0, 3, 3, 3, 5, 5, 5, 6, 6, 6)]
    drawn = trainer._generate_and_score_completions(inputs)
    batch = {
        name: value.double() if torch.is_tensor(value) and value.is_floating_point() else value
        for name, value in drawn.items()
    }
    images = [row["images"] for row in inputs]
    optimiser = torch.optim.SGD(trainer.model.parameters(), lr=0.5)
    trainer._compute_loss(trainer.model, batch).backward()  # the first update
    optimiser.step()
    optimiser.zero_grad()

    wanted, signed, with_inserted = by_hand(trainer, batch, images)
    # What is tested is there: clipped ratios on both sides, inserted tokens, unequal lengths.
    assert (signed > 1 + CLIP).any()
    assert ((signed < 0) & (signed > -(1 - CLIP))).any()
    assert 0 < with_inserted < len(inputs)
    assert len(set(batch["completion_mask"].sum(dim=1).tolist())) > 2

    found = trainer._compute_loss(trainer.model, batch)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    ours, theirs = gradient(wanted, trainer), gradient(found, trainer)
    assert torch.linalg.norm(theirs - ours) <= 1e-5 * torch.linalg.norm(ours)


def test_with_one_update_the_clip_never_acts(trainer: Any) -> None:
    inputs = [trainer.train_dataset[row] for row in (0, 0, 0, 3, 3, 3)]
    batch = trainer._generate_and_score_completions(inputs)
    batch.pop("old_per_token_logps")  # TRL keeps none for a single update: the ratio is 1
    trainer._metrics["train"].clear()
    trainer._compute_loss(trainer.model, batch)
    assert trainer._metrics["train"]["clip_ratio/region_mean"] == [0.0]
