"""Weights from a hub on loopback, through the real command line in processes of their own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from qibox.engines.hub import reachable, weights_here
from qibox.engines.load import load_engine, resolve_model
from qibox.engines.process import parent
from qibox.engines.sources import local_directory
from qibox.manifests.panel import ModelSpec
from tests.commands import qibox
from tests.hub import COMMIT, GATED, Hub, serving_hub

BIN = Path(sys.executable).parent
CODE = "modeling_own.py"

PANEL = """
{name: own, about: x, models: {
  shipped: {source: "builtin:strong"},
  tiny: {source: owner/tiny, engine: transformers, size_b: 0.0005}
}}
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with a shipped model, beside which lie what must not be fetched, and one without."""
    folder = tmp_path_factory.mktemp("hub")
    shipped = local_directory("builtin:strong")
    assert shipped is not None
    tiny = folder / "tiny"
    shutil.copytree(shipped, tiny)
    (tiny / CODE).write_text("raise SystemExit('code of a model was run')")
    (tiny / "pytorch_model.bin").write_bytes(b"pickled")
    (tiny / "original").mkdir()
    shutil.copy(tiny / "model.safetensors", tiny / "original/model.safetensors")
    pickled = folder / "pickled"
    pickled.mkdir()
    shutil.copy(tiny / "config.json", pickled / "config.json")
    with serving_hub({"owner/tiny": tiny, "owner/pickled": pickled}) as hub:
        yield hub


def run(
    *arguments: object, at: Path, hub: Hub | None, home: Path
) -> "subprocess.CompletedProcess[str]":
    """Run `qibox` as a shell does, with a network of this hub alone, or with none."""
    environment = {n: v for n, v in os.environ.items() if not n.startswith("HF_")}
    network = {"HF_HUB_OFFLINE": "1"} if hub is None else {"HF_ENDPOINT": hub.url}
    return subprocess.run(
        [BIN / "qibox", *map(str, arguments)],
        cwd=at,
        env={**environment, **network, "HF_HOME": str(home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_what_was_fetched_into_a_folder_is_scored_with_where_there_is_no_network(
    hub: Hub, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text(PANEL)
    where, home = tmp_path / "shared", tmp_path / "home"
    wanted = ("fetch", "--panel", "own.yaml", "--judge", "oracle", "--to", where)

    listed = run(*wanted, "--dry-run", at=tmp_path, hub=hub, home=home)
    assert listed.returncode == 0, listed.stderr
    files = sorted(p.name for p in Path(str(local_directory("builtin:strong"))).iterdir())
    total = sum(p.stat().st_size for p in Path(str(local_directory("builtin:strong"))).iterdir())
    assert "as the hub lists it" in listed.stdout
    assert f"to fetch: {total / 1e6:.3g} MB for 1 models" in listed.stdout
    assert not where.exists() or not list(where.rglob("*.safetensors"))

    hub.sent.clear()
    done = run(*wanted, at=tmp_path, hub=hub, home=home)
    assert done.returncode == 0, done.stderr
    assert f"owner/tiny at commit {COMMIT}" in done.stderr
    assert done.stdout.splitlines()[-1] == (f"export HF_HUB_CACHE={where}; export HF_HUB_OFFLINE=1")
    assert sorted(set(hub.sent)) == files  # neither code, nor pickles, nor a second copy
    assert not list(where.rglob("*.py"))
    assert not list(where.rglob("*.bin"))

    hub.sent.clear()
    again = run(*wanted, at=tmp_path, hub=hub, home=home)
    assert again.returncode == 0
    assert "here" in again.stdout
    assert hub.sent == []

    score = ("score", "--panel", "own.yaml", "--limit", 2, "--samples-per-model", 1, "--out", "run")
    asked = f"cd {tmp_path} && {done.stdout.splitlines()[-1]} && {BIN / 'qibox'} " + " ".join(
        map(str, score)
    )
    scored = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=120)
    assert scored.returncode == 0, scored.stderr
    assert "2 rows in = 2 scored + 0 not scored" in scored.stdout
    assert COMMIT in (tmp_path / "run/run.yaml").read_text()


def test_weights_are_there_before_the_time_to_start_begins(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    files = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + files)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))  # of the process that fetches
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    reachable.cache_clear()
    started = []

    class Engine(parent.ChildEngine):
        """Looks at the moment at which the time to start would begin, and starts nothing."""

        def __init__(self, factory: str, arguments: dict[str, Any], *_: Any, **__: Any) -> None:
            started.append((arguments["revision"], weights_here("owner/tiny", COMMIT)))

    monkeypatch.setattr(parent, "ChildEngine", Engine)
    spec = resolve_model(ModelSpec(source="owner/tiny", engine="transformers"))
    assert not weights_here("owner/tiny", COMMIT)  # its configuration alone came
    load_engine("tiny", spec)
    reachable.cache_clear()
    assert started == [(COMMIT, True)]


def test_what_the_hub_does_not_give_is_said_and_the_rest_is_fetched(
    hub: Hub, tmp_path: Path
) -> None:
    models = (GATED, "owner/pickled", "owner/tiny")
    done = run("fetch", *models, at=tmp_path, hub=hub, home=tmp_path / "home")
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert said[0].startswith(f"{GATED} could not be fetched: it asks for consent to its licence")
    assert "no weights as safetensors" in said[1]
    assert said[2] == f"owner/tiny at commit {COMMIT}"
    assert said[3].startswith(f"Error: 2 of 3 models could not be fetched: {GATED}, owner/pickled")


def test_without_weights_and_network_a_dry_run_prints_the_plan_and_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    how = ("score", "--panel", "seven", "--judge", "grm", "--limit", 20)
    done = qibox(*how, "--dry-run")
    assert done.status == 0, done.stderr
    rows = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if "│" in line}
    assert rows["judgments-grm"].split("│")[5].strip() == "700"
    missing = [name for name, line in rows.items() if "published size, not checked" in line]
    assert len(missing) == 8
    assert "67 GB" in rows["Qwen/Qwen2.5-VL-32B-Instruct"]  # 33.5 billion parameters of 2 bytes
    assert "to fetch: 193 GB for 8 models" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("qibox fetch Qwen/Qwen2.5-VL-7B-Instruct Qwen/")
    assert not (tmp_path / "runs").exists()
    real = qibox(*how)
    assert real.status == 2
    assert "`qibox fetch Qwen/Qwen2.5-VL-7B-Instruct`" in real.stderr
    assert "`qibox fetch --panel seven --judge grm`" in real.stderr


def test_a_recipe_needs_its_policy_and_its_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    done = qibox("fetch", "--recipe", "safer-vlm-3b", "--judge", "grm", "--dry-run")
    assert done.status == 0
    assert "to fetch: 74.5 GB for 2 models" in done.stdout  # (3.75 + 33.5) × 2
    assert "the hub cannot be reached" in qibox("fetch", "owner/name").stderr
    assert qibox("fetch").stderr.startswith("Error: nothing is named: give models (owner/name)")
    shipped = qibox("fetch", "--panel", "mini", "--recipe", "mini")
    assert (shipped.status, shipped.stderr) == (
        0, "all weights are shipped or lie in directories: nothing to fetch\n",
    )  # fmt: skip
