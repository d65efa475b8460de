"""What a run takes, and what goes: through the real command line, on a disk and elsewhere."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from qibox.run.directory import Run
from qibox.scoring.lock import locked
from tests.commands import Done, qibox
from tests.runs import sample, write_run

RESPONSES = "responses/model=second/shard-00000.parquet"
JUDGED = "judgments/judge=hash/model={}/shard-00000.parquet"
HALF = "scores/.shard-00000.parquet." + "0" * 32


@pytest.fixture(params=["local", "remote"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """A run with leftovers of every kind."""
    local = request.param == "local"
    url = str(tmp_path / "run") if local else f"memory://{uuid.uuid4().hex}"
    run = write_run(url, [sample("a", 5, 1), sample("b", 6, 2)])
    for name, size in (
        ("outdated/scores/shard-00000.parquet", 1000),
        ("policies/mine/model/model.safetensors", 5000),
        ("policies/mine/policy.yaml", 10),
        ("policies/mine/training/checkpoints/000003/model.safetensors", 20_000),
        ("policies/whole/training/policy.yaml", 10),  # whole, but not in its place yet
        ("evaluations/mss/pool/_index.json", 700),
        (HALF, 300),
        ("notes.txt", 7),
    ):
        run.storage.write_text(name, "x" * size)
    yield run
    if not local:
        run.storage.remove("")


def removed(run: Run, *options: object) -> set[str]:
    """The files that a command takes away."""
    before = set(run.storage.sizes())
    done = qibox("clean", run.url, *options, "--yes")
    assert done.status == 0, done.stderr
    return before - set(run.storage.sizes()) - {".lock"}


def answering(text: str, *arguments: object) -> Done:
    with patch("sys.stdin.readline", lambda: text), patch("builtins.input", lambda *_: text):
        return qibox(*arguments)


def test_sizes_are_told_by_part_and_leftovers_go(run: Run) -> None:
    dry = qibox("clean", run.url, "--dry-run")
    rows = [[c.strip() for c in line.split("│")[1:-1]] for line in dry.stdout.splitlines()]
    assert ["policies/mine/training", "1", "20 kB"] in rows
    assert ["policies/mine", "2", "5.01 kB"] in rows
    assert ["judgments/judge=hash", "2"] in [row[:2] for row in rows]
    assert ["half-written files", "1", "300 bytes"] in rows
    assert "  outdated (1 file, 1 kB): tables of earlier manifests, which nothing reads" in (
        dry.stdout.splitlines()
    )
    assert "would begin anew" in dry.stdout
    assert HALF in run.storage.sizes()  # nothing went
    assert removed(run) == {
        "outdated/scores/shard-00000.parquet",
        "policies/mine/training/checkpoints/000003/model.safetensors",
        HALF,
    }
    assert "nothing to remove" in qibox("clean", run.url).stdout
    for made_up in ("policies", "evaluations"):  # which hold no manifests that could be read
        run.storage.remove(made_up)
    assert qibox("status", run.url, "--verify").status == 0


def test_what_is_named_goes_alone_and_what_depends_on_it_is_said(run: Run) -> None:
    dry = qibox("clean", run.url, "--model", "second", "--judge", "hash", "--dry-run").stdout
    assert "its judgments go too; scores/ stay as they are; `qibox score --out" in dry
    assert "scores/ are made of it and stay as they are" in dry
    assert removed(run, "--model", "second") == {RESPONSES, JUDGED.format("second")}
    assert removed(run, "--judge", "hash") == {JUDGED.format("first")}
    assert removed(run, "--evaluation", "mss") == {"evaluations/mss/pool/_index.json"}
    wrong = qibox("clean", run.url, "--model", "third")
    assert (wrong.status, wrong.stderr) == (
        2, f"Error: no model 'third' has anything in {run.url}: there is first\n",
    )  # fmt: skip
    assert "there is none" in qibox("clean", run.url, "--judge", "hash").stderr


def test_nothing_goes_unasked_or_while_the_run_is_written(run: Run) -> None:
    before = {name for name in run.storage.sizes() if name != ".lock"}
    no = answering("n\n", "clean", run.url)
    assert (no.status, "nothing was removed" in no.stderr) == (0, True)
    with locked(run.storage):
        held = qibox("clean", run.url, "--yes")
    assert held.status == 1
    assert "is being written by process" in held.stderr
    with locked(run.storage, "policies/.mine.lock"):
        training = qibox("clean", run.url, "--yes")
    assert training.status == 1
    assert "policies/mine is being written by process" in training.stderr
    assert before <= set(run.storage.sizes())
