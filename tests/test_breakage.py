"""Each file of a finished run broken in each of six ways: no traceback, no other figure, a name."""

import shutil

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
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def test_what_reads_a_damaged_file_names_it(world: World) -> None:
    wrong: list[str] = []
    for path in world.files():
        top = path.relative_to(world.run).parts[0]
        query = f"sql {top}" if top in TABLES and path.suffix == ".parquet" else "sql scores"
        last = "train" if top == "selections" else "select"
        readers = world.readers()
        wrong += sweep(world, {name: readers[name] for name in (query, "status", last)}, [path])
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
