"""Train the shipped models from nothing: ``python -m qibox.mini.train --out DIR``.

Reads nothing but this package. Writes one directory a model under DIR, in the usual Hugging Face
format with weights in float16. One trunk learns the ideal answers; each model is the trunk, tuned
to its persona (:mod:`qibox.mini.train.personas`). About six minutes on two cores, the same weights
for the same seed, versions and number of threads. Set OMP_WAIT_POLICY=PASSIVE on a busy machine.
"""

import argparse
import copy
import logging
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from qibox.torchvision_ops import declare_missing_operators

declare_missing_operators()

import torch  # noqa: E402
from transformers import Qwen2_5_VLProcessor  # noqa: E402

from qibox.mini.train.architecture import build_model  # noqa: E402
from qibox.mini.train.learning import CellTrainer  # noqa: E402
from qibox.mini.train.lessons import (  # noqa: E402
    CELL_KINDS,
    Encoder,
    batches,
    teach_ideal,
    teach_persona,
    teach_policy,
)
from qibox.mini.train.personas import PANEL, POLICY  # noqa: E402
from qibox.mini.train.words import build_processor  # noqa: E402

BATCH = 64
ALIGN_STEPS = 100
TRUNK_STEPS, TRUNK_RATE = 600, 4e-3
TUNE_STEPS, TUNE_RATE = 200, 1e-3
POLICY_STEPS = 300
POLICY_NAME = "policy"
NOTHING = "nothing"  # the word whose embedding an empty cell is aligned with


def trunk(processor: Qwen2_5_VLProcessor, steps: int = TRUNK_STEPS, seed: int = 0) -> CellTrainer:
    """Train the model that all others start from on ideal answers."""
    ids = processor.tokenizer.get_vocab()
    names = [ids[kind or NOTHING] for kind in CELL_KINDS]
    trainer = CellTrainer(build_model(processor.tokenizer, seed), processor.image_processor, names)
    trainer.align(ALIGN_STEPS)
    lessons = batches(Encoder(processor.tokenizer), teach_ideal, BATCH, f"trunk-{seed}")
    trainer.fit(lessons, steps, TRUNK_RATE, see=True, name="trunk")
    return trainer


def tune(
    start: CellTrainer, processor: Qwen2_5_VLProcessor, name: str, steps: int, seed: int = 0
) -> CellTrainer:
    """Tune a copy of the trunk to a persona, the picture's encoder frozen."""
    trainer = copy.deepcopy(start)
    teacher = teach_policy(POLICY) if name == POLICY_NAME else teach_persona(PANEL[name])
    lessons = batches(Encoder(processor.tokenizer), teacher, BATCH, f"{name}-{seed}")
    trainer.fit(lessons, steps, TUNE_RATE, see=False, name=name)
    return trainer


def save(trainer: CellTrainer, processor: Qwen2_5_VLProcessor, folder: Path) -> None:
    """Write a model and its processor; float16 halves the size and changes no answer noticeably."""
    copy.deepcopy(trainer.model).half().save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)


def main() -> None:
    """Train and write the models named on the command line."""
    names = (*PANEL, POLICY_NAME)
    parser = argparse.ArgumentParser(prog="python -m qibox.mini.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory to write models under")
    parser.add_argument("--models", nargs="+", choices=names, default=names, help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=TRUNK_STEPS, help="of the trunk")
    parser.add_argument("--tune-steps", type=int, default=None, help="of each model")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("qibox").setLevel(logging.INFO)
    # the gradient of picking cells adds in the order threads arrive, unless told not to
    torch.use_deterministic_algorithms(True)
    processor = build_processor()
    start = trunk(processor, options.steps, options.seed)
    for name in options.models:
        usual = POLICY_STEPS if name == POLICY_NAME else TUNE_STEPS
        tuned = tune(start, processor, name, options.tune_steps or usual, options.seed)
        save(tuned, processor, options.out / name)


if __name__ == "__main__":
    main()
