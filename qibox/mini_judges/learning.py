"""The training of a small judge: as the panel's models are trained, on prompts of many tokens.

See :class:`qibox.mini.train.learning.CellTrainer`; only how a batch is read differs: the beginning
that all its rows share is read once, and the picture may stand anywhere.
"""

import torch

from qibox.mini.train.learning import CellTrainer
from qibox.mini.train.lessons import IGNORED, Batch
from qibox.mini.world import CELLS, SIDE
from qibox.mini_judges.lessons import PaperBatch

ADAM_SHARE = 0.3  # of Muon's learning rate


class JudgeTrainer(CellTrainer):
    """A small judge with the means to train it on batches of :mod:`qibox.mini_judges.lessons`."""

    def _predictions(self, batch: Batch, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert isinstance(batch, PaperBatch)
        decoder = self.model.model.language_model
        embed = self.model.get_input_embeddings()
        rows, start = len(batch.ids), len(batch.prefix)
        embedded = embed(batch.ids)  # (B, T, H)
        end = batch.picture + CELLS
        picture = cells[batch.cells]  # (B, 9, H)
        embedded = torch.cat((embedded[:, : batch.picture], picture, embedded[:, end:]), dim=1)
        cache = None
        if start:
            before = torch.arange(start).expand(3, 1, -1)
            read = decoder(
                inputs_embeds=embed(batch.prefix)[None], position_ids=before, use_cache=True
            )
            cache = read.past_key_values
            cache.batch_repeat_interleave(rows)
        hidden = decoder(
            inputs_embeds=embedded,
            position_ids=positions(batch),
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state[:, :-1]
        targets = batch.labels[:, 1:]
        learnt = targets != IGNORED
        return self.model.lm_head(hidden[learnt]), targets[learnt]

    def _optimizers(
        self, parameters: list[torch.nn.Parameter], rate: float
    ) -> list[torch.optim.Optimizer]:
        """Muon for the decoder's matrices: they learn to compare sooner by it than by AdamW."""
        layers = self.model.model.language_model.layers.parameters()
        matrices = {id(parameter) for parameter in layers if parameter.ndim == 2}
        kept = [parameter for parameter in parameters if id(parameter) not in matrices]
        moved = [parameter for parameter in parameters if id(parameter) in matrices]
        muon = torch.optim.Muon(moved, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
        return [muon, *super()._optimizers(kept, ADAM_SHARE * rate)]


def positions(batch: PaperBatch) -> torch.Tensor:
    """Positions as Qwen2.5-VL's get_rope_index gives them for one picture.  # (3, 1, T)"""
    first = len(batch.prefix)
    steps = torch.arange(SIDE)
    head = torch.arange(batch.picture).expand(3, -1) + first
    time = torch.zeros(CELLS, dtype=torch.long)
    height, width = steps.repeat_interleave(SIDE), steps.repeat(SIDE)
    picture = torch.stack((time, height, width)) + first + batch.picture
    left = batch.ids.shape[1] - batch.picture - CELLS
    rest = torch.arange(left).expand(3, -1) + first + batch.picture + SIDE
    return torch.cat((head, picture, rest), dim=1)[:, None]
