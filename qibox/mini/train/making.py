"""How every model of a miniature world is made: a trunk from nothing, and copies of it, tuned.

Reads a world and what is to be taught, returns models; :func:`save` writes one in the usual Hugging
Face format with weights in float16. The same weights for the same seed, versions and number of
threads (:func:`repeatable`).
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import Qwen2_5_VLProcessor

from qibox.mini.train.architecture import build_model
from qibox.mini.train.learning import CellTrainer
from qibox.mini.train.lessons import Encoder, Teacher, batches
from qibox.mini.world import World

BATCH = 64
ALIGN_STEPS = 100
TRUNK_RATE = 4e-3
TUNE_RATE = 1e-3


@contextmanager
def repeatable() -> Iterator[None]:
    """Let equal training give equal weights, within the block."""
    before = torch.are_deterministic_algorithms_enabled()
    # the gradient of picking cells adds in the order threads arrive, unless told not to
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def trunk(
    world: World,
    processor: Qwen2_5_VLProcessor,
    teacher: Teacher,
    steps: int,
    seed: int = 0,
    name: str = "trunk",
    batch: int = BATCH,
) -> CellTrainer:
    """Train a model that others start from; ``name`` keys its lessons."""
    trainer = CellTrainer(build_model(processor.tokenizer, seed), processor, world)
    trainer.align(ALIGN_STEPS)
    lessons = batches(Encoder(processor.tokenizer, world), teacher, batch, f"{name}-{seed}")
    trainer.fit(lessons, steps, TRUNK_RATE, see=True, name=name)
    return trainer


def tune(
    start: CellTrainer,
    world: World,
    processor: Qwen2_5_VLProcessor,
    teacher: Teacher,
    name: str,
    steps: int,
    seed: int = 0,
    rate: float = TUNE_RATE,
    batch: int = BATCH,
) -> CellTrainer:
    """Teach a copy of the trunk, the picture's encoder frozen; ``name`` keys its lessons."""
    trainer = copy.deepcopy(start)
    lessons = batches(Encoder(processor.tokenizer, world), teacher, batch, f"{name}-{seed}")
    trainer.fit(lessons, steps, rate, see=False, name=name)
    return trainer


def save(trainer: CellTrainer, processor: Qwen2_5_VLProcessor, folder: Path) -> None:
    """Write a model and its processor; float16 halves the size and changes no answer noticeably."""
    copy.deepcopy(trainer.model).half().save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)


def stand(trainer: CellTrainer, processor: Qwen2_5_VLProcessor, folder: Path, name: str) -> None:
    """Save a model whole: under a temporary name, then under its own."""
    temporary = folder / f".{name}"
    save(trainer, processor, temporary)
    temporary.rename(folder / name)
