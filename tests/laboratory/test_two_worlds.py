"""Two laboratories from nothing to an evaluated policy, by the real commands, at toy size."""

import contextlib
import os
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from tests import commands

SEEDS = (2, 5)
SAMPLES, HELDOUT = 8, 4


def qibox(line: str, folder: Path) -> commands.Done:
    with contextlib.chdir(folder):
        done = commands.qibox(*line.split())
    assert done.status == 0, f"qibox {line}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two worlds, and a run of each that was trained on and evaluated."""
    folder = tmp_path_factory.mktemp("labs")
    for seed in SEEDS:
        lab, run = f"worlds/lab-{seed}", f"runs/lab-{seed}"
        given = f"--pool {lab}/pool.yaml --panel {lab}/panel.yaml --judge oracle"
        asked = f"--suite {lab}/suite.yaml --start {lab}/models/policy --limit {HELDOUT}"
        answers = "--engine transformers --setting isolate=false --samples-per-model 1"
        qibox(f"world lab --world {seed} --size toy --quiet", folder)
        for line in (
            f"score {given} --limit {SAMPLES} --samples-per-model 1 --out {run} --quiet",
            f"select {run} --random {SAMPLES}",
            f"train {run} --recipe {lab}/recipe.yaml --steps 2",
            f"eval {run} {asked} {answers} --quiet",
        ):
            qibox(line, folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_every_step_of_a_world_leaves_what_it_should(base: Path, seed: int) -> None:
    run = base / f"runs/lab-{seed}"

    def asked(query: str) -> list[tuple[object, ...]]:
        return duckdb.sql(query.format(run=run)).fetchall()

    names = {name for (name,) in asked("select distinct model from '{run}/responses/*/*.parquet'")}
    panel = yaml.safe_load((base / f"worlds/lab-{seed}/panel.yaml").read_text())
    assert names == {*panel["models"]}
    assert len(names) == 7
    # The oracle knew the world: whatever the models said, which were hardly taught, has a score.
    judged = "count(*), count(*) filter (score is null and reason like '%oracle%')"
    assert asked(f"select {judged} from '{{run}}/judgments/*/*/*.parquet'") == [(7 * SAMPLES, 0)]
    assert asked("select count(quality) from '{run}/scores/*.parquet'") == [(SAMPLES,)]
    # Held-out answers of two, the start policy and what was made of it, were judged.
    rated = "'{run}/evaluations/*/judgments/*/*/*.parquet'"
    assert asked(f"select count(distinct model), count(*) from {rated}") == [(2, 2 * HELDOUT)]
    assert list((run / "policies/default").rglob("model.safetensors"))


def test_worlds_are_drawn_apart(base: Path) -> None:
    first, second = (base / f"worlds/lab-{seed}" for seed in SEEDS)
    questions = [
        set(pq.read_table(w / "pool.parquet")["question"].to_pylist()) for w in (first, second)
    ]
    assert questions[0] != questions[1]
    drawn = [yaml.safe_load((w / "world.yaml").read_text()) for w in (first, second)]
    assert drawn[0]["contexts"] != drawn[1]["contexts"]
    assert drawn[0]["weak_spots"] != drawn[1]["weak_spots"]
    weights = [(w / "models/policy/model.safetensors").read_bytes() for w in (first, second)]
    assert weights[0] != weights[1]


def test_the_same_command_makes_what_is_missing(base: Path) -> None:
    lab = base / f"worlds/lab-{SEEDS[0]}"
    model = lab / "models/sister/model.safetensors"
    kept = lab / "models/brother/model.safetensors"
    before, age = model.read_bytes(), kept.stat().st_mtime_ns
    for path in (lab / "models/sister").iterdir():
        path.unlink()
    (lab / "models/sister").rmdir()
    qibox(f"world lab --world {SEEDS[0]} --size toy --quiet", base)
    assert model.read_bytes() == before
    assert kept.stat().st_mtime_ns == age


def test_a_world_without_judges_gets_its_own_by_the_same_command(base: Path) -> None:
    seed = SEEDS[0]
    lab = base / f"worlds/lab-{seed}"
    kept = lab / "models/policy/model.safetensors"
    age = kept.stat().st_mtime_ns
    assert not (lab / "grm.yaml").exists()
    qibox(f"world lab --world {seed} --size toy --judges --quiet", base)
    assert kept.stat().st_mtime_ns == age
    shapes = {(lab / f"models/{name}/config.json").read_text() for name in ("grm", "grm-b")}
    assert len(shapes) == 2
    (asked,) = (base / f"runs/lab-{seed}/evaluations").iterdir()  # fewer answers than the run's
    qibox(f"judge {asked} --judge {lab}/grm-b.yaml --max-reject-rate 1 --quiet", base)
    rows = duckdb.sql(
        "select judge, count(*), count(*) filter ((score is null) = (reason is null)) "
        f"from '{asked}/judgments/*/*/*.parquet' where judge <> 'oracle' "
        "group by judge"
    ).fetchall()
    assert rows == [(f"lab-{seed}-grm-b", 2 * HELDOUT, 0)]


def test_a_moved_world_names_its_new_place(base: Path, tmp_path: Path) -> None:
    lab = base / f"worlds/lab-{SEEDS[1]}"
    moved = lab.rename(tmp_path / "moved")
    qibox(f"world lab --world {SEEDS[1]} --size toy --out {moved} --quiet", base)
    named = yaml.safe_load((moved / "pool.yaml").read_text())
    assert Path(named["path"]) == moved / "pool.parquet"
    moved.rename(lab)


@pytest.mark.parametrize("other", ["--world 9", "--kinship 0.75", "--size full"])
def test_another_world_in_its_place_is_refused(base: Path, other: str) -> None:
    lab = base / f"worlds/lab-{SEEDS[0]}"
    given = f"world lab --out {lab} --world {SEEDS[0]} --size toy {other}"
    with contextlib.chdir(base):
        done = commands.qibox(*given.split())
    assert done.status == 2
    assert "holds a laboratory whose" in done.stderr
