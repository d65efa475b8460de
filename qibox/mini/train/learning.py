"""The training itself: align cells with words, teach one trunk, then tune it into each model.

Works on stock Qwen2.5-VL models and changes only how fast they train: the vision tower is run on
the distinct cells (one an object, and the empty one) once a step instead of on every picture, which
gives the same loss.
"""

import logging
import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from qibox.mini.draw import draw_cell
from qibox.mini.train.lessons import IGNORED, Batch, cell_kinds
from qibox.mini.world import SIDE, World

IMAGE_START = 3  # tokens before the picture: <|im_start|> user <|vision_start|>
WARM_UP = 0.2  # share of the steps
NOTHING = "nothing"  # the word whose embedding an empty cell is aligned with
log = logging.getLogger(__name__)


class CellTrainer:
    """A model with the means to train it on batches of :mod:`qibox.mini.train.lessons`."""

    def __init__(
        self,
        model: Qwen2_5_VLForConditionalGeneration,
        processor: Qwen2_5_VLProcessor,
        world: World,
    ) -> None:
        self.model = model
        kinds = cell_kinds(world)
        pictures = [draw_cell(None if name is None else world.things[name].icon) for name in kinds]
        read = processor.image_processor(images=pictures, return_tensors="pt")
        self._pixels, self._grid = read["pixel_values"], read["image_grid_thw"]
        words = [f" {name or NOTHING}" for name in kinds]
        ids = processor.tokenizer(words, add_special_tokens=False)["input_ids"]
        self._names = torch.tensor([first for first, *_ in ids])  # words for the kinds

    def cells(self) -> torch.Tensor:
        """Encode every kind of cell.  # (kinds, H)"""
        return torch.cat(
            tuple(self.model.get_image_features(self._pixels, self._grid).pooler_output)
        )

    def align(self, steps: int) -> None:
        """Move the vision tower's outputs onto the embeddings of the words that name cells."""
        target = self.model.get_input_embeddings().weight[self._names].detach()
        optimizer = torch.optim.Adam(self.model.model.visual.parameters(), lr=2e-3)
        for _ in range(steps):
            loss = functional.mse_loss(self.cells(), target) / target.var()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def naming_loss(self, cells: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of naming each kind of cell among all kinds."""
        words = self.model.get_input_embeddings().weight[self._names]
        return functional.cross_entropy(cells @ words.T, torch.arange(len(words)))

    def loss(self, batch: Batch, cells: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy over the learnt tokens of a batch."""
        return functional.cross_entropy(*self._predictions(batch, cells))

    @torch.no_grad()
    def accuracy(self, batch: Batch) -> float:
        """Share of the learnt tokens that the model would choose itself, in [0, 1]."""
        logits, targets = self._predictions(batch, self.cells())
        return float((logits.argmax(-1) == targets).float().mean())

    def _predictions(self, batch: Batch, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        embedded = self.model.get_input_embeddings()(batch.ids)  # (B, T, H)
        picture = cells[batch.cells]  # (B, 9, H)
        end = IMAGE_START + picture.shape[1]
        embedded = torch.cat((embedded[:, :IMAGE_START], picture, embedded[:, end:]), dim=1)
        positions = self._positions(*batch.ids.shape)
        hidden = self.model.model.language_model(
            inputs_embeds=embedded, position_ids=positions, use_cache=False
        ).last_hidden_state[:, :-1]
        targets = batch.labels[:, 1:]
        learnt = targets != IGNORED
        return self.model.lm_head(hidden[learnt]), targets[learnt]

    def _positions(self, rows: int, length: int) -> torch.Tensor:
        """Positions as Qwen2.5-VL's get_rope_index gives them for one picture.  # (3, B, T)"""
        steps = torch.arange(SIDE)
        head = torch.arange(IMAGE_START).expand(3, -1)
        time_ = torch.zeros(SIDE * SIDE, dtype=torch.long)
        height, width = steps.repeat_interleave(SIDE), steps.repeat(SIDE)
        picture = torch.stack((time_, height, width)) + IMAGE_START
        rest = torch.arange(length - IMAGE_START - SIDE * SIDE).expand(3, -1) + IMAGE_START + SIDE
        return torch.cat((head, picture, rest), dim=1)[:, None].expand(3, rows, -1)

    def fit(self, batches: Iterator[Batch], steps: int, rate: float, see: bool, name: str) -> float:
        """Train for some steps with a cosine schedule; returns the last 20 steps' mean loss.

        Without ``see`` the vision tower stays as it is.
        """
        self.model.train()
        parameters = self._trained(see)
        optimizers = self._optimizers(parameters, rate)
        warm = max(1, int(WARM_UP * steps))
        schedules = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: _pace(s, warm, steps))
            for optimizer in optimizers
        ]
        frozen = None if see else self.cells().detach()
        losses: list[float] = []
        start = time.monotonic()
        for step in range(steps):
            cells = self.cells() if frozen is None else frozen
            answering = self.loss(next(batches), cells)
            loss = answering if frozen is not None else answering + 0.3 * self.naming_loss(cells)
            self.model.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                schedule.step()
            losses.append(float(answering.detach()))
            if step % 50 == 49 or step == steps - 1:
                left = (time.monotonic() - start) / (step + 1) * (steps - step - 1)
                recent = np.mean(losses[-20:])
                log.info(
                    "%s: step %d/%d, loss %.4f, %.0f s left", name, step + 1, steps, recent, left
                )
        self.model.eval()
        return float(np.mean(losses[-20:]))

    def _optimizers(
        self, parameters: list[torch.nn.Parameter], rate: float
    ) -> list[torch.optim.Optimizer]:
        """What moves the parameters."""
        return [torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)]

    def _trained(self, see: bool) -> list[torch.nn.Parameter]:
        for parameter in self.model.parameters():
            parameter.requires_grad_(True)
        for parameter in self.model.model.visual.parameters():
            parameter.requires_grad_(see)
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]


def _pace(step: int, warm: int, steps: int) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine to 0."""
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
