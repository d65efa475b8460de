"""Two processes on the CPU do what one does with the same completions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from qibox.engines.serving import free_port
from qibox.manifests import RecipeManifest
from qibox.run.directory import Run
from qibox.run.storage import Storage
from tests.forked import TRAINING, start
from tests.object_store import BUCKET, storing


def launched(rank: int, processes: int, port: int) -> dict[str, str]:
    """What torchrun puts into the environment of each process that it starts on one machine."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "MASTER_PORT": port}
    all_alike = {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "GROUP_WORLD_SIZE": 1}
    found = {name: str(value) for name, value in (own | all_alike).items()}
    return found | {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}


def replayed(
    run: Run, recipe: RecipeManifest, path: Path, name: str, processes: int = 1
) -> list[Any]:
    """Train on recorded completions; the lines of metrics.jsonl. The recipe is put at ``path``."""
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    port = free_port("127.0.0.1")
    environments = [launched(rank, processes, port) for rank in range(processes)]
    running = [
        start(
            TRAINING,
            "tests.grpo.replayed:main",
            *(run.storage.url, path, name),
            environment={} if processes == 1 else environment,
        )
        for environment in environments
    ]
    ends = [(process.communicate()[1], process.returncode) for process in running]
    assert [status for _, status in ends] == [0] * processes, ends
    lines = run.storage.read_text(f"policies/{name}/metrics.jsonl").splitlines()
    return [json.loads(line) for line in lines]


def rows(run: Run, name: str) -> list[Any]:
    files = run.storage.files(f"policies/{name}/rollouts")
    table = pa.concat_tables([run.storage.read_table(file) for file in files])
    return table.sort_by([(key, "ascending") for key in ("step", "sample_id", "k")]).to_pylist()


@pytest.fixture
def place(request: pytest.FixtureRequest, run: Run) -> Iterator[Run]:
    """The run on the disk, or on an object store."""
    if request.param == "disk":
        yield run
        return
    with storing():
        stored = Storage(f"s3://{BUCKET}/run")
        for name in run.storage.files(""):
            stored.fs.put_file(run.storage.path(name), stored.path(name))
        yield Run.open(stored.url)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "prompts"),
    [("disk", 2), ("store", 3)],  # three: the second one's group lies in both processes
    indirect=["place"],
)
def test_two_processes_learn_what_one_learns(
    run: Run, place: Run, recipe: RecipeManifest, prompts: int, tmp_path: Path
) -> None:
    recipe = recipe.model_copy(
        update={"prompts_per_step": prompts, "samples_per_prompt": 4, "steps": 3}
    )
    alone = replayed(run, recipe, tmp_path / "recipe.yaml", "alone")
    both = replayed(place, recipe, tmp_path / "recipe.yaml", "both", processes=2)
    lineage = yaml.safe_load(place.storage.read_text("policies/both/policy.yaml"))
    assert lineage["processes"] == 2
    for name in ("loss", "reward", "unsafe_drafts", "corrected", "zero_variance", "kl"):
        assert [line[name] for line in both] == pytest.approx(
            [line[name] for line in alone], rel=1e-5, abs=1e-7
        ), name
    one, two = rows(run, "alone"), rows(place, "both")
    assert len(one) == len(two) == 3 * prompts * 4
    for ours, theirs in zip(one, two, strict=True):
        for name in ("draft", "final", "reward", "draft_advantage", "recovery_advantage"):
            assert ours[name] == pytest.approx(theirs[name])
