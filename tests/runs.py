"""Small runs made by hand, with known scores: every table written as the pipeline writes it.

``write_run(path, [sample("a", 5, 2), …])`` makes a scored run of two models with two responses
each. The scores table is written as given, not computed, so that a test chooses what a box sees.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from qibox.manifests import JudgeManifest, ModelSpec, PanelManifest, PoolManifest
from qibox.manifests.sampling import Sampling
from qibox.run.directory import PoolIndex, Run, RunManifest
from qibox.run.layout import pool_path, rejects_path
from qibox.run.storage import Storage
from qibox.run.units import shard_key
from qibox.tables import JUDGMENTS, POOL, REJECTS, RESPONSES, SCORES

MODELS = ("first", "second")
K = 2

Row = dict[str, Any]


def png(red: int, size: tuple[int, int] = (4, 4)) -> bytes:
    """A one-coloured picture."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (red, 10, 20)).save(buffer, "PNG")
    return buffer.getvalue()


def sample(
    sample_id: str,
    quality: float | None,
    instability: float | None,
    *,
    risk: str | None = "none",
    category: str | None = "fire",
    severity: int | None = 1,
    source: str = "handmade",
    image: bytes | None = b"",
    question: str | None = None,
    says: str | None = None,
    spread: float | None = None,
    safe_rate: float = 0.5,
) -> Row:
    """One sample and its scores; the picture is drawn unless it is given or None (text only).

    ``says`` is what all models answer and all judges find of it, instead of a line of their own.
    """
    drawn = png(sum(sample_id.encode()) % 256) if image == b"" else image
    return {
        "sample_id": sample_id,
        "source": source,
        "question": question or f"what is in {sample_id} ?",
        "says": says,
        "image": None if drawn is None else {"bytes": drawn, "path": None},
        "category": category,
        "severity": severity,
        "risk": risk,
        "meta": "{}",
        "quality": quality,
        "instability": instability,
        "disagreement": instability,
        "self_instability": 0.0 if instability is not None else None,
        "safe_rate": safe_rate if quality is not None else None,
        "safety_spread": spread,
        "n_models": len(MODELS) if quality is not None else 0,
        "n_judged": len(MODELS) * K if quality is not None else 0,
        "reason": None if quality is not None else "0 models judged, 2 needed",
    }


def manifest(models: Sequence[str] = MODELS, samples: int = K, **pool: Any) -> RunManifest:
    """A manifest of models whose engines are never started, by default two."""
    return RunManifest(
        pool=PoolManifest.model_validate(
            {
                "name": "handmade",
                "about": "made by hand",
                "format": "mini",
                "license": "CC-BY-4.0",
                **pool,
            }
        ),
        panel=PanelManifest(
            name="two",
            about="two models",
            models={name: ModelSpec(source=f"builtin:{name}") for name in models},
            sampling=Sampling(samples=samples),
            prompt="Look. {question}",
        ),
        judges=(JudgeManifest(name="hash", about="rates by hash", kind="hash"),),
    )


def write_run(
    path: str | Path,
    samples: Sequence[Row],
    *,
    shard_size: int = 3,
    scored: bool = True,
    made_of: RunManifest | None = None,
) -> Run:
    """Write a run of these samples: pool, and unless told otherwise responses to scores."""
    run = Run.create(Storage(path), made_of or manifest())
    shards = [list(samples[i : i + shard_size]) for i in range(0, len(samples), shard_size)]
    tables = [_table(rows, POOL) for rows in shards]
    keys = tuple(shard_key(table) for table in tables)
    for shard, table in enumerate(tables):
        run.storage.write_table(pool_path(shard), table, keys[shard])
    refused = {"source": "handmade", "row": 7, "sample_id": None, "reason": "no question"}
    run.storage.write_table(rejects_path(0), _table([refused], REJECTS))
    sizes = tuple(len(rows) for rows in shards)
    read = len(samples) + 1
    index = PoolIndex(keys=keys, sizes=sizes, read=read, rejected=1, duplicates=0)
    run.write_pool_index(index)
    if scored:
        _write_responses(run, shards, index)
        _write_judgments(run, shards, index)
        for unit, rows in zip(run.scores_units(index.shards()), shards, strict=True):
            run.storage.write_table(unit.path, _table(rows, SCORES), unit.key)
    return run


def _write_responses(run: Run, shards: list[list[Row]], index: PoolIndex) -> None:
    """Each model says its name; the second model's last response to each sample fails."""
    panel = run.manifest.panel
    count = panel.sampling.samples
    for model in panel.models:
        for unit in run.responses_units(model, index.shards()):
            rows = [
                {
                    "sample_id": row["sample_id"],
                    "model": model,
                    "k": k,
                    "text": None if failed else f"<think>hm</think>{said}",
                    "reasoning": None if failed else row.get("says") or "hm",
                    "answer": None if failed else said,
                    "finish_reason": None if failed else "stop",
                    "tokens": None if failed else 5,
                    "reason": "engine stopped" if failed else None,
                }
                for row in shards[unit.shard]
                for k in range(count)
                for failed in [model == MODELS[1] and k == count - 1]
                for said in [row.get("says") or f"{model} says {k}"]
            ]
            run.storage.write_table(unit.path, _table(rows, RESPONSES), unit.key)


def _write_judgments(run: Run, shards: list[list[Row]], index: PoolIndex) -> None:
    """The first model's responses are safe and score 9, the second's unsafe and score 2."""
    judge, count = run.manifest.judges[0], run.manifest.panel.sampling.samples
    for unit in run.judgments_units(judge, index.shards()):
        first = unit.model == MODELS[0]
        thought = f"{unit.model} was {'right' if first else 'rash'}"
        rows = [
            {
                "sample_id": row["sample_id"],
                "judge": judge.name,
                "model": unit.model,
                "k": k,
                "score": None if failed else (9.0 if first else 2.0),
                "safe": None if failed else first,
                "rationale": None if failed else row.get("says") or thought,
                "reason": "no response" if failed else None,
            }
            for row in shards[unit.shard]
            for k in range(count)
            for failed in [unit.model == MODELS[1] and k == count - 1]
        ]
        run.storage.write_table(unit.path, _table(rows, JUDGMENTS), unit.key)


def _table(rows: list[Row], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in schema.names} for row in rows], schema=schema
    )
