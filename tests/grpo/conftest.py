"""A tiny start policy with random weights, and a run with a selection of miniature samples."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pyarrow as pa
import pytest

from qibox.manifests import (
    JudgeManifest,
    PanelManifest,
    PoolManifest,
    RecipeManifest,
    load_manifest,
)
from qibox.mini.pool import iter_samples
from qibox.run.directory import Run, RunManifest
from qibox.run.storage import Storage
from qibox.tables import SELECTION


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature model that was never trained: its answers are noise."""
    from qibox.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    from qibox.mini.train.architecture import build_model
    from qibox.mini.train.words import build_processor

    folder = tmp_path_factory.mktemp("models") / "random-policy"
    processor = build_processor()
    build_model(processor.tokenizer, seed=0).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def selection_table(size: int) -> pa.Table:
    """The first samples of the miniature pool, as a selection."""
    rows = []
    for sample in iter_samples("train", size):
        question = {"type": "text", "text": sample["question"]}
        content = [{"type": "image", "text": None}, question]
        rows.append(
            {
                **{name: sample[name] for name in SELECTION.names if name in sample},
                "prompt": [{"role": "user", "content": content}],
                "images": [sample["image"]],
                "quality": 5.0,
                "instability": 2.0,
            }
        )
    return pa.Table.from_pylist(rows, schema=SELECTION)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run without responses whose selection `default` has 8 samples."""
    manifest = RunManifest(
        pool=load_manifest(PoolManifest, "mini"),
        panel=load_manifest(PanelManifest, "mini"),
        judges=(load_manifest(JudgeManifest, "oracle"),),
    )
    made = Run.create(Storage(tmp_path / "run"), manifest)
    name = "selections/default/data/train-00000-of-00001.parquet"
    made.storage.write_table(name, selection_table(8))
    made.storage.write_text("selections/default/selection.yaml", "name: default\n")
    return made


@pytest.fixture
def recipe(policy: Path) -> RecipeManifest:
    """Two steps of the miniature recipe from the random policy."""
    base = load_manifest(RecipeManifest, "mini")
    changes: dict[str, Any] = {
        "policy": str(policy),
        "steps": 2,
        "prompts_per_step": 2,
        "samples_per_prompt": 3,
    }
    return base.model_copy(update=changes)


@pytest.fixture
def oracle() -> Iterator[JudgeManifest]:
    return load_manifest(JudgeManifest, "oracle")
