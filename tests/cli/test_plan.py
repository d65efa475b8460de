"""`qibox plan` through the command line, on recorded answers."""

import json
from pathlib import Path

import pytest

from qibox.pipelines.run import score_run
from tests.commands import qibox
from tests.evaluations import Watching
from tests.recordings import MODELS, record, recorded, said, write_responses

SAMPLES = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded answers, of which one model lacks some, and a run of them."""
    made = tmp_path_factory.mktemp("planned")
    data = record(made / "data", SAMPLES, k=3, shard_size=20)
    rows = [(i, k) for i in range(SAMPLES) for k in range(3)]
    texts = [(i, k, None if k == 2 else said("cid", i, k)) for i, k in rows]
    write_responses(data, "cid", texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)  # a run's paths are from where it was made
        score_run(made / "run", recorded(data), Watching())
    return made


@pytest.fixture
def job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    monkeypatch.chdir(folder)
    return ["--pool", "data/pool.yaml", "--panel", "data/panel.yaml", "--judge", "hash", "-q"]


def test_a_job_that_has_not_begun(folder: Path, job: list[object]) -> None:
    before = sorted(folder.rglob("*"))
    done = qibox("plan", *job, "--probe", 20, "--q-band", 1, 10)
    assert done.status == 0, done.stderr
    assert f"{SAMPLES} samples, measured on 20 drawn at random" in done.stdout
    rows = {line.split()[1]: line.split() for line in done.stdout.splitlines() if "│" in line}
    for model in MODELS:
        assert rows[model][3] == str(SAMPLES * 3)  # calls
    assert (rows["ada"][9], rows["cid"][9]) == ("0.0%", "33.3%")  # failed
    # distinct texts a sample: one of all, two each of ada and bay, one of cid
    assert rows["hash"][3] == str(SAMPLES * 6)
    assert "the box would let 60 of 60 samples through [49, 60]: 20 of 20 did" in done.stdout
    assert sorted(folder.rglob("*")) == before  # nothing is left


def test_of_a_run_that_was_read(job: list[object]) -> None:
    done = qibox("plan", "run", "--probe", 10, "--budget", 1000, "--gpus", 8, "-q")
    assert done.status == 0, done.stderr
    assert f"{SAMPLES} samples, measured on 10" in done.stdout
    assert "that is within 1000 hours" in done.stdout
    assert "the box would" not in done.stdout  # none was named
    done = qibox("plan", "run", "--probe", 10, "--budget", 1e-9, "-q")
    assert "nothing leads within 1e-09 hours" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "--pool", "mini"],
            "run is a run of its own pool, panel and judges: leave out",
        ),
        (["run", "--probe", "999"], "a probe of 999 samples is more than the pool's 60"),
        (["none"], "no run at none"),
        (["run", "--q-band", "8", "4"], "is reversed"),
    ],
)
def test_each_mistake_has_its_sentence(
    job: list[object], arguments: list[str], message: str
) -> None:
    done = qibox("plan", *arguments, "-q")
    assert (done.status, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1, json.dumps(done.stderr)
