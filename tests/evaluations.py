"""A scored run, three policies and two benchmarks, with recorded answers: evaluations in a blink.

``write_world(folder)`` writes FOLDER/run, FOLDER/<benchmark>.yaml, FOLDER/other.yaml (a judge) and
FOLDER/answers, which `qibox eval run --pool held.yaml --replay answers` plays from inside it.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from qibox.engines.sources import fingerprint, local_directory
from qibox.manifests import JudgeManifest
from qibox.pipelines.run import score_run
from qibox.run.directory import Run
from qibox.run.storage import Storage
from qibox.scoring.turns import Turn
from qibox.scoring.watcher import Advance
from tests.recordings import record, recorded

BENCHMARKS = ("held", "kept")
POLICIES = ("first", "second", "third")
START = "start-policy"
SAMPLES, K = 6, 2
OTHER = JudgeManifest(name="other", about="another", kind="hash", weights={"helpfulness": 5.0})


class Watching:
    """Remembers the waves that ran and what was remarked."""

    def __init__(self) -> None:
        self.waves: list[str] = []
        self.remarks: list[str] = []

    @contextmanager
    def reading(self) -> Iterator[Advance]:
        yield lambda rows: None

    @contextmanager
    def turn(self, storage: Storage, turn: Turn) -> Iterator[None]:
        self.waves += [f"{wave.name}:{len(wave.pending)}" for wave in turn.waves]
        yield

    def remark(self, text: str) -> None:
        self.remarks.append(text)


def write_world(folder: Path, samples: int = SAMPLES) -> Run:
    """Write all of it; the benchmarks have so many samples, four a shard."""
    score_run(folder / "run", recorded(record(folder / "data")), Watching())
    made = Run.open(folder / "run")
    start = local_directory("builtin:policy")
    assert start is not None
    lineage = {"policy": "builtin:policy", "policy_revision": fingerprint(start), "selection": "x"}
    for name in POLICIES:
        (folder / f"run/policies/{name}/model").mkdir(parents=True)
        made.storage.write_text(f"policies/{name}/policy.yaml", yaml.safe_dump({"plan": lineage}))
    other = OTHER.model_dump(mode="json", exclude_defaults=True)
    (folder / "other.yaml").write_text(yaml.safe_dump(other))
    for name in BENCHMARKS:
        add_benchmark(folder, name, [f"{name} asks {i} ?" for i in range(samples)])
    ids = [f"{b}:b{i}" for b in BENCHMARKS for i in range(samples)]
    ids += [f"small:s{i}" for i in range(12)]  # the run's own pool, for profiles
    for model in (*POLICIES, START):
        write_answers(folder / "answers", model, ids)
    return made


def add_benchmark(folder: Path, name: str, questions: Sequence[str]) -> None:
    """Write FOLDER/<name>.yaml and its pool of harmless and risky questions."""
    rows = [
        {"id": f"b{i}", "question": q, "risk": ["none", "explicit"][i % 2]}
        for i, q in enumerate(questions)
    ]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = {
        "name": name,
        "about": "held out",
        "format": "jsonl",
        "path": str(folder / f"{name}.jsonl"),
        "columns": {"sample_id": "id", "image": None, "risk": "risk"},
        "text_only": True,
        "shard_size": 4,
        "benchmark": True,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(manifest))


def write_answers(folder: Path, model: str, ids: Sequence[str]) -> None:
    """Record K answers of a model to each sample."""
    rows = [(i, k) for i in ids for k in range(K)]
    lines = [{"sample_id": i, "k": k, "text": f"{model} says {i} {k}"} for i, k in rows]
    path = folder / f"model={model}/all.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(lines), path)
