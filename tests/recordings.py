"""Recorded responses to a small text pool: a whole scoring without any model, in milliseconds.

``record(folder)`` writes FOLDER/pool.jsonl, FOLDER/responses/ and the manifests that play them;
``recorded(folder)`` gives the resolved manifest of a run on them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from qibox.manifests import JudgeManifest, PanelManifest, PoolManifest
from qibox.manifests.load import load_manifest
from qibox.run.directory import RunManifest
from qibox.scoring.resolve import choose_models, choose_sampling, resolve_run

MODELS = ("ada", "bay", "cid")
K = 2
HASH = JudgeManifest(name="hash", about="rates by hash", kind="hash")


def record(
    folder: Path,
    samples: int = 12,
    *,
    k: int = K,
    shard_size: int = 5,
    models: Sequence[str] = MODELS,
) -> Path:
    """Write the pool, the recordings and their manifests; gives back the folder.

    Every model says the same as the others in its response 0, and something of its own after that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"id": f"s{i}", "question": f"what is {i} ?"} for i in range(samples)]
    (folder / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for model in models:
        write_responses(
            folder, model, [(i, j, said(model, i, j)) for i in range(samples) for j in range(k)]
        )
    write_manifests(folder, k=k, shard_size=shard_size, models=models)
    return folder


def said(model: str, sample: int, k: int) -> str:
    """What a model says in response k."""
    return (
        f"<think>about {sample}</think>it is {sample}" if k == 0 else f"{model} says {sample}.{k}"
    )


def write_responses(folder: Path, model: str, rows: Sequence[tuple[int, int, str | None]]) -> None:
    """Record (sample, k, text) of one model."""
    table = pa.table(
        {
            "sample_id": [f"small:s{sample}" for sample, _, _ in rows],
            "k": pa.array([k for _, k, _ in rows], pa.int32()),
            "text": pa.array([text for _, _, text in rows], pa.string()),
        }
    )
    path = folder / f"responses/model={model}/all.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def write_manifests(folder: Path, *, k: int, shard_size: int, models: Sequence[str]) -> None:
    """Write FOLDER/pool.yaml and FOLDER/panel.yaml."""
    source = str(folder / "responses")
    panel: dict[str, Any] = {
        "name": "recorded",
        "about": "recorded models",
        "models": {model: {"source": source, "engine": "replay"} for model in models},
        "sampling": {"samples": k},
    }
    pool: dict[str, Any] = {
        "name": "small",
        "about": "a few questions",
        "format": "jsonl",
        "path": str(folder / "pool.jsonl"),
        "columns": {"sample_id": "id", "image": None},
        "text_only": True,
        "shard_size": shard_size,
    }
    (folder / "panel.yaml").write_text(yaml.safe_dump(panel))
    (folder / "pool.yaml").write_text(yaml.safe_dump(pool))


def recorded(
    folder: Path,
    *,
    models: Sequence[str] = (),
    k: int | None = None,
    limit: int | None = None,
    judges: Sequence[JudgeManifest] = (HASH,),
) -> RunManifest:
    """The resolved manifest of a run on what :func:`record` wrote."""
    panel = load_manifest(PanelManifest, str(folder / "panel.yaml"))
    panel = choose_sampling(panel, k)
    if models:
        panel = choose_models(panel, models)
    pool = load_manifest(PoolManifest, str(folder / "pool.yaml"))
    return resolve_run(pool, panel, judges, limit)
