"""A laboratory's directory but for its models: what was drawn, the pools, and the manifests.

    DIR/world.yaml                     what was drawn: dangers, wordings, each model's weak spots
    DIR/pool.parquet heldout.parquet   samples, one a row, pictures within
    DIR/models/NAME/                   weights, in the usual Hugging Face format
    DIR/pool.yaml heldout.yaml panel.yaml recipe.yaml suite.yaml    manifests that name these files

Manifests hold full paths; made again where the directory was moved to, they name the new ones.
"""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from qibox.laboratory.plan import SIZES, Plan
from qibox.manifests.load import load_manifest
from qibox.manifests.panel import PanelManifest
from qibox.manifests.recipe import RecipeManifest
from qibox.mini.pool import Split, iter_samples, pool_name
from qibox.mini.train.lab_cast import POLICY
from qibox.mini.train.personas import BLIND, Persona
from qibox.run.storage import Storage
from qibox.tables import IMAGE

RECORD = "world.yaml"
MODELS = "models"
SPLITS: dict[str, Split] = {"pool": "train", "heldout": "heldout"}  # file and manifest → split
JUDGE = "oracle"  # of pool and training alike
KNOWN = 0.1  # probability of missing a spot up to which it counts as known
SHARD = 250  # samples
SOURCE = "made by `qibox world lab`"
ROWS = 500  # written at once
# A process of its own takes longer to start than a model this small to answer.
HERE = {"engine": "transformers", "settings": {"isolate": False}}

# What the oracle reads of a sample: the meta of qibox.mini.pool, a column each.
META: dict[str, pa.DataType] = {
    "world": pa.string(),
    "cells": pa.list_(pa.string()),
    "question_id": pa.string(),
    "kind": pa.string(),
    "topic": pa.string(),
    "wording": pa.int32(),
    "style": pa.string(),
    "target": pa.string(),
    "context": pa.string(),
    "truth": pa.struct([("dangers", pa.list_(pa.string())), ("ideal", pa.string())]),
}
COLUMNS = pa.schema(
    [
        ("number", pa.string()),
        ("question", pa.string()),
        ("image", IMAGE),
        ("category", pa.string()),
        ("severity", pa.int32()),
        ("risk", pa.string()),
        *META.items(),
    ]
)


def write_record(plan: Plan, storage: Storage) -> None:
    """Write what was drawn, for people, and what decides the laboratory, for the next command."""
    world, cast = plan.world, plan.cast
    record = plan.deciding | {
        "objects": {name: f"in the {thing.place}" for name, thing in world.things.items()},
        "contexts": {
            name: {
                "asked": list(context.wordings),
                "dangers": {n: f"{d.category} {d.severity}" for n, d in context.dangers.items()},
            }
            for name, context in world.contexts.items()
        },
        "harms": {
            name: {"asked": list(harm.wordings), "severity": harm.severity}
            for name, harm in world.harms.items()
        },
        "weak_spots": {n: weak_spots(p) for n, p in {POLICY: cast.policy, **cast.panel}.items()},
    }
    storage.write_text(RECORD, dumped(record))


def weak_spots(persona: Persona) -> dict[str, list[str]]:
    """What a persona misses surely and where it wavers; a danger as context/object."""
    spots = {"/".join(pair): share for pair, share in persona.overlooks.items()}
    spots |= persona.complying
    return {
        "missed": sorted(name for name, share in spots.items() if share >= BLIND),
        "wavering": sorted(name for name, share in spots.items() if KNOWN < share < BLIND),
    }


def write_pools(plan: Plan, storage: Storage) -> None:
    """Write the samples of both splits, where they are not written yet."""
    sizes = SIZES[plan.size]
    for name, split in SPLITS.items():
        wanted = sizes.pool if split == "train" else sizes.heldout
        path = f"{name}.parquet"
        if storage.exists(path):
            continue
        samples = iter_samples(split, wanted, plan.seed, plan.world)
        with storage.table_writer(path, COLUMNS) as writer:
            while group := [_row(sample) for sample in islice(samples, ROWS)]:
                writer.write_table(pa.Table.from_pylist(group, schema=COLUMNS))


def _row(sample: dict[str, Any]) -> dict[str, Any]:
    number = sample["sample_id"].rpartition("-")[2]
    told = {name: sample[name] for name in COLUMNS.names if name in sample}
    return {"number": number, **told, **json.loads(sample["meta"])}


def write_manifests(plan: Plan, storage: Storage) -> None:
    """Write a pool, a held-out pool, a panel, a recipe and a suite that name these files."""
    for name, manifest in manifests(plan, Path(storage.root).resolve()):
        storage.write_text(f"{name}.yaml", dumped(manifest))


def manifests(plan: Plan, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each manifest's file name and fields."""
    world = plan.world
    for name, split in SPLITS.items():
        yield name, _pool(plan, folder, name, split)
    shipped = load_manifest(PanelManifest, "mini").model_dump(mode="json", exclude_unset=True)
    models = {
        name: {"source": str(folder / MODELS / name), "size_b": 0.0005} | HERE
        for name in plan.cast.panel
    }
    about = f"Two relatives of {world.name}'s start policy, kinship {plan.kinship}, five strangers."
    yield "panel", shipped | head(world.name, about) | {"models": models}
    recipe = load_manifest(RecipeManifest, "mini").model_dump(mode="json", exclude_unset=True)
    about = f"GRPO with reflection and correction for the start policy of {world.name}."
    policy = {"policy": str(folder / MODELS / POLICY), "judge": JUDGE}
    yield "recipe", recipe | head(world.name, about) | policy
    heldout = {"label": "held out", "pool": str(folder / "heldout.yaml")}
    about = f"The held-out pool of {world.name}."
    yield "suite", head(world.name, about) | {"benchmarks": [heldout]}


def _pool(plan: Plan, folder: Path, name: str, split: Split) -> dict[str, Any]:
    heldout = split == "heldout"
    about = f"The {'held-out ' if heldout else ''}pool of the laboratory world {plan.world.name}."
    told = ("question", "image", "category", "severity", "risk")
    return {
        **head(pool_name(plan.world, split), about),
        "format": "parquet",
        "path": str(folder / f"{name}.parquet"),
        "columns": {"sample_id": "number", **{each: each for each in told}, "meta": list(META)},
        "shard_size": SHARD,
        "license": "Apache-2.0",
        "world": plan.world.name,
        "benchmark": heldout,
    }


def head(name: str, about: str) -> dict[str, str]:
    """What every manifest of a laboratory begins with."""
    return {"name": name, "about": about, "source": SOURCE}


def dumped(fields: dict[str, Any]) -> str:
    """A manifest's text."""
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
