"""Each file of a finished run broken in each of six ways: no traceback, no other figure, a name."""

import shutil
from pathlib import Path

import pytest

from tests.commands import qibox
from tests.tools.breakage import (
    DAMAGES,
    TABLES,
    Damage,
    World,
    make_directory,
    make_world,
    sweep,
    sweep_writer,
)

# Of what each command reads, a file of each kind.
KINDS = {
    "score": ("run.yaml", "pool/_index.json", "pool/shard-00000.parquet"),
    "train": (
        "run.yaml",
        "selections/default/selection.yaml",
        "selections/default/data/train-00000-of-00001.parquet",
        "policies/default/policy.yaml",
        "policies/default/rollouts/part-000001.parquet",
    ),
    "select": ("selections/default/data/train-00000-of-00001.parquet",),
    "eval": (
        "run.yaml",
        "policies/default/policy.yaml",
        "selections/default/data/train-00000-of-00001.parquet",
        "evaluations/held/run.yaml",
        "evaluations/held/pool/_index.json",
        "evaluations/held/pool/shard-00000.parquet",
        "evaluations/held/responses/model=default/shard-00000.parquet",
        "evaluations/held/judgments/judge=hash/model=default/shard-00000.parquet",
        "evaluations/held/rates.parquet",
    ),
}
CHECKPOINT = "policies/half/training/checkpoints/000001"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.mark.slow
def test_what_reads_a_damaged_file_names_it(world: World) -> None:
    wrong: list[str] = []
    readers = world.readers()
    for path in world.files():
        top = path.relative_to(world.run).parts[0]
        query = f"sql {top}" if top in TABLES and path.suffix == ".parquet" else "sql scores"
        query = "sql evaluations" if top in ("evaluations", "policies") else query
        query = "sql rollouts" if path.parent.name == "rollouts" else query
        last = {"selections": "train", "policies": "plot training", "evaluations": query}
        names = dict.fromkeys((query, "status", last.get(top, "select")))
        if path.suffix == ".png":
            names = dict.fromkeys(["status"])  # nothing else reads it
        if top == "policies" and path.parent.name not in ("default", "rollouts"):
            continue  # by the tool; weights below
        wrong += sweep(world, {name: readers[name] for name in names}, [path])
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("command", KINDS)
def test_what_writes_names_a_damaged_file_or_makes_it_again(world: World, command: str) -> None:
    wrong = sweep_writer(world, command, [world.run / name for name in KINDS[command]])
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("damage", DAMAGES)
def test_score_makes_what_it_can_again(world: World, damage: Damage) -> None:
    kinds = ("responses", "judgments", "scores")
    paths = [next(iter(sorted((world.run / kind).rglob("*.parquet")))) for kind in kinds]
    before = {path: path.read_bytes() for path in paths}
    shutil.rmtree(world.run / "outdated", ignore_errors=True)
    for path in paths:
        damage(path)
        if damage is make_directory:  # somebody's own, which is not for us to remove
            done = qibox(*world.score)
            assert done.status == 1
            assert f"{path} cannot be used: a directory stands" in done.stderr
            shutil.rmtree(path)
    done = qibox(*world.score)
    assert done.status == 0, done.stderr
    assert {path: path.read_bytes() for path in paths} == before


def test_strangers_among_selections_are_let_be(world: World) -> None:
    strangers = [
        world.run / "selections" / name
        for name in ("notes.txt", "mine.parquet", "default/mine.parquet", "half/data/a.parquet")
    ]
    readers = world.readers()
    commands = {name: readers[name] for name in ("sql selections", "select", "train")}
    before = {name: qibox(*command) for name, command in commands.items()}
    for path in strangers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not of this run")
    after = {name: qibox(*command) for name, command in commands.items()}
    seen = qibox("status", world.run)
    for path in strangers:
        path.unlink()
    assert after == before
    assert seen.status in (0, 1)
    assert "Traceback" not in seen.stderr


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "whole.yaml"])
def test_a_damaged_checkpoint_is_not_gone_on_from(world: World, tmp_path: Path, name: str) -> None:
    path = world.run / CHECKPOINT / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    done = qibox(*world.train("half"))
    path.write_bytes(content)
    assert done.status == 1
    folder = world.run / "policies/half/training"
    assert f"{path} is damaged" in done.stderr
    assert f"remove {folder}, and the same `qibox train` begins anew" in done.stderr


def test_damaged_weights_answer_nothing(world: World) -> None:
    path = world.run / "policies/default/model/model.safetensors"
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    done = qibox("eval", world.run, "--pool", world.recorded / "held.yaml", "--limit", 4)
    seen = qibox("status", world.run, "--verify")
    path.write_bytes(content)
    assert done.status == seen.status == 1
    for said in (done.stderr, seen.stderr):
        assert f"{path} is damaged" in said
        assert f"`qibox train {world.run} --name default --overwrite`" in said
