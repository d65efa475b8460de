"""A whole scoring, by real models, of a pool with a thousand damaged or hostile rows."""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from qibox.errors import TooManyRejectsError
from qibox.manifests import PanelManifest, load_manifest
from qibox.run.directory import Run
from tests.pool.hostile import Hostile, embedded, lined
from tests.pool.making import pool, rows_of

QIBOX = Path(sys.executable).parent / "qibox"
GOOD, BAD = 2_500, 500  # of each of the two pools
MODELS = ("strong", "confused")
MEMORY = 4e9  # bytes, of all processes together


def write_manifests(folder: Path, pools: dict[str, Hostile]) -> None:
    """Write a combined pool, and a panel of two shipped models that answer shortly."""
    parts = [made.manifest.model_copy(update={"name": name}) for name, made in pools.items()]
    both = pool(name="both", parts=[part.model_dump(mode="json") for part in parts])
    mini = load_manifest(PanelManifest, "mini")
    sampling = mini.sampling.model_copy(update={"samples": 1, "max_tokens": 6})
    models = {name: mini.models[name] for name in MODELS}
    fields = {"models": models, "sampling": sampling, "min_models": 2, "min_responses": 1}
    for name, manifest in (("pool", both), ("panel", mini.model_copy(update=fields))):
        text = yaml.safe_dump(manifest.model_dump(mode="json", exclude_unset=True))
        (folder / f"{name}.yaml").write_text(text)


def memory(pid: int) -> int:
    """Bytes of memory held by a process and all that it started; shared pages count each time."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
    return total


def score(folder: Path, *options: str) -> tuple[int, str, int]:
    """Run the command to its end: exit status, what it said, and its peak of memory in bytes."""
    manifests = ("--pool", "pool.yaml", "--panel", "panel.yaml", "--judge", "hash")
    said = folder / "said.txt"
    with said.open("w") as file:
        command = [str(QIBOX), "score", *manifests, "--out", "run", *options]
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=subprocess.STDOUT)
        peak = 0
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(0.2)
    return process.returncode, said.read_text(), peak


@pytest.mark.slow
def test_in_equals_scored_and_not_scored_each_with_its_reason(tmp_path: Path) -> None:
    pools = {"one": embedded(tmp_path, GOOD, BAD), "two": lined(tmp_path, GOOD, BAD)}
    write_manifests(tmp_path, pools)

    status, said, peak = score(tmp_path)
    assert status == TooManyRejectsError.exit_status, said
    assert "1000 of 6000 rows of the stage pool failed" in said
    assert peak < MEMORY
    run = Run.open(tmp_path / "run")
    rejects: list[dict[str, Any]] = rows_of(run, "rejects")
    for name, made in pools.items():
        found = {r["row"]: r["reason"] for r in rejects if r["source"] == name}
        assert found.keys() == made.reasons.keys()
        wrong = [row for row, reason in made.reasons.items() if not found[row].startswith(reason)]
        assert [row for row in wrong if "sample_id" not in made.reasons[row]] == []
    scores = rows_of(run, "scores")
    assert len(scores) + len(rejects) == 2 * (GOOD + BAD)
    assert all(s["quality"] is not None and s["n_judged"] == len(MODELS) for s in scores)

    status, said, _ = score(tmp_path, "--max-reject-rate", "0.2")
    assert status == 0, said
    assert "6000" in said.replace(",", "")
