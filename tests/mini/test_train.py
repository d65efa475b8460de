"""The shipped models come from this code: a few of its steps teach a model from nothing."""

import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from qibox.torchvision_ops import declare_missing_operators

declare_missing_operators()

from qibox.mini.shipped import MINI  # noqa: E402
from qibox.mini.train.__main__ import main  # noqa: E402
from qibox.mini.train.architecture import build_model  # noqa: E402
from qibox.mini.train.learning import CellTrainer  # noqa: E402
from qibox.mini.train.lessons import Encoder, batches, teach_ideal  # noqa: E402
from qibox.mini.train.making import save  # noqa: E402
from qibox.mini.train.words import build_processor  # noqa: E402

STEPS = 60


@pytest.fixture(scope="module")
def trained() -> tuple[CellTrainer, float, float, float]:
    """A model after a few steps, with its accuracy before, its accuracy after and its loss."""
    processor = build_processor()
    trainer = CellTrainer(build_model(processor.tokenizer, 0), processor, MINI)
    encoder = Encoder(processor.tokenizer)
    unseen = next(batches(encoder, teach_ideal, 64, "unseen"))
    before = trainer.accuracy(unseen)
    trainer.align(30)
    lessons = batches(encoder, teach_ideal, 32, "few")
    loss = trainer.fit(lessons, STEPS, 4e-3, see=True, name="few")
    return trainer, before, trainer.accuracy(unseen), loss


def test_a_few_steps_teach_something(trained: tuple[CellTrainer, float, float, float]) -> None:
    _, before, after, loss = trained
    assert before < 0.1  # one word of over a hundred, by chance
    assert after > 0.5
    assert loss < 2.5  # ln(106) ≈ 4.7 is knowing nothing


def test_what_is_trained_can_be_shipped(
    trained: tuple[CellTrainer, float, float, float], tmp_path: Path
) -> None:
    from transformers import AutoModelForImageTextToText

    save(trained[0], build_processor(), tmp_path / "few")
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path / "few", dtype=torch.float32)
    ours = trained[0].model.get_input_embeddings().weight
    theirs = loaded.get_input_embeddings().weight
    assert torch.allclose(ours, theirs, atol=1e-2)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another process, which hashes otherwise, and in this one, in which much has happened."""
    small = ["--models", "strong", "--steps", "4", "--tune-steps", "2", "--out"]
    command = [sys.executable, "-m", "qibox.mini.train", *small, str(tmp_path / "first")]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONHASHSEED": "random"})
    monkeypatch.setattr(sys, "argv", ["qibox.mini.train", *small, str(tmp_path / "second")])
    logger = logging.getLogger("qibox")
    level = logger.level
    main()
    logger.setLevel(level)
    assert process.wait(timeout=300) == 0
    weights = [tmp_path / name / "strong" / "model.safetensors" for name in ("first", "second")]
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in weights)
    assert first == second
