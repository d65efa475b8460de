"""What a laboratory's panel tells of its start policy rises with kinship.

Whom its models are taught to be answer in their place, so that this is of the laboratory's shape
and not of half an hour's training: `benchmarks/kinship.py` has the models themselves.
"""

import json
import random
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from qibox.laboratory.files import write_manifests, write_pools
from qibox.laboratory.plan import SIZES, Plan
from qibox.mini.pool import iter_samples, recall
from qibox.mini.train.lab_cast import POLICY, RELATIVES
from qibox.mini.train.personas import Persona
from qibox.run.directory import Run
from qibox.run.storage import Storage
from qibox.trainee.answers import answers
from qibox.trainee.value import value
from tests import commands

SEED, SAMPLES, K = 3, 250, 5
KINSHIPS = (0.0, 0.5, 1.0)


def record(folder: Path, plan: Plan, personas: dict[str, Persona]) -> None:
    """Write a pool, what personas answer to it, and panel.yaml and policy.yaml that play it."""
    storage = Storage(folder)
    write_pools(plan, storage)
    write_manifests(plan, storage)
    asked = [
        (f"{plan.world.name}:{sample['sample_id'].rpartition('-')[2]}", json.loads(sample["meta"]))
        for sample in iter_samples("train", SAMPLES, SEED, plan.world)
    ]
    fields = yaml.safe_load((folder / "panel.yaml").read_text())
    for name, persona in personas.items():
        rng = random.Random(name)
        rows = [
            {"sample_id": sample_id, "k": k, "text": persona.respond(*recall(meta), rng)}
            for sample_id, meta in asked
            for k in range(K)
        ]
        path = folder / f"responses/model={name}/all.parquet"
        path.parent.mkdir(parents=True)
        schema = pa.schema([("sample_id", pa.string()), ("k", pa.int32()), ("text", pa.string())])
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    played = {"source": str(folder / "responses"), "engine": "replay"}
    for manifest, names in (("panel", set(personas) - {POLICY}), ("policy", {POLICY})):
        models = dict.fromkeys(sorted(names), played)
        (folder / f"{manifest}.yaml").write_text(
            yaml.safe_dump(fields | {"models": models, "min_models": 1})
        )


def test_what_relatives_tell_rises_with_kinship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run: strangers are the same at every kinship, so the relatives of all three sit in it."""
    monkeypatch.setitem(SIZES, "toy", replace(SIZES["toy"], pool=SAMPLES))
    plans = {kinship: Plan(SEED, kinship, "toy") for kinship in KINSHIPS}
    casts = {kinship: plan.cast for kinship, plan in plans.items()}
    relatives = {
        kinship: {f"{name}-{kinship:.0%}".rstrip("%"): cast.relatives[name] for name in RELATIVES}
        for kinship, cast in casts.items()
    }
    strangers = casts[0.0].strangers
    everybody = {POLICY: casts[0.0].policy, **strangers}
    for each in relatives.values():
        everybody |= each
    record(tmp_path, plans[0.0], everybody)
    monkeypatch.chdir(tmp_path)
    for line in (
        "score --pool pool.yaml --panel panel.yaml --judge oracle --out run --quiet",
        "value run --policy policy.yaml --quiet",
    ):
        done = commands.qibox(*line.split())
        assert done.status == 0, f"qibox {line}\n{done.stdout}\n{done.stderr}"

    found = value(Run.open("run"), answers(Run.open("run"), POLICY, K, "structured", True))
    auc = {signal.name: signal.within.value for signal in found.signals}

    def of(signal: str, names: dict[str, Persona]) -> float:
        return fmean(auc[f"{signal} of {name}"] for name in names)

    rising = [of("unsafe share", relatives[kinship]) for kinship in KINSHIPS]
    assert rising[0] + 0.05 < rising[1] < rising[2] - 0.05
    assert rising[2] > 0.85
    assert of("unsafe share", strangers) < rising[1]
    kin = [fmean(found.kinship[name].value for name in relatives[each]) for each in KINSHIPS]
    assert kin[0] + 0.1 < kin[1] < kin[2] - 0.1
    # The nearest are called relatives, and none of kinship 0 is.
    assert set(relatives[1.0]) <= set(found.relatives)
    assert not {*relatives[0.0], *strangers} & set(found.relatives)
