"""`qibox compare`: arms from the command line to the verdict, stopped in the middle and gone on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from qibox.run.storage import Storage
from tests.commands import qibox
from tests.recordings import record

ARMS = ["--selections", "random,box", "--steps", 2, "--size", 8, "--limit", 6, "--seeds", 1]
WORDS = [*ARMS, "--checkpoint", 1, "--name", "made"]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    made = record(folder / "pool", 60, shard_size=60)
    run = folder / "run"
    done = qibox(
        *("score", "--pool", made / "pool.yaml", "--panel", made / "panel.yaml"),
        *("--judge", "hash", "--out", run),
    )
    assert done.status == 0, done.stderr
    return run


@pytest.fixture
def run(scored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scored, tmp_path / "run"))


def compare(run: Path) -> "subprocess.Popen[bytes]":
    words = ["compare", run, *WORDS, "--workers", 1]
    command = [sys.executable, "-P", "-m", "qibox.cli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture
def all_cores() -> Iterator[None]:
    """As many threads as a comparison's only worker has: sums depend on how they are divided."""
    threads = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    yield
    torch.set_num_threads(threads)


def by_hand(run: Path) -> str:
    """The commands of both arms, given one after the other here; the report of what they left."""
    policies: list[str] = []
    for arm, rule in (("random", "--random 8"), ("box", "--box mini --limit 8")):
        name = f"made-{arm}-0"
        given(f"select {run} {rule} --seed 0 --name {name}")
        training = f"--credit turn --steps 2 --snapshot 1 --selection {name} --seed 0"
        given(f"train {run} {training} --name {name}")
        policies += ["--policy", f"{name}-at-1", "--policy", name]
    asked = "--pool mini-heldout --limit 6 --samples-per-model 5"
    given(f"eval {run} {asked} {' '.join(policies)}")
    return given(f"compare {run} {' '.join(map(str, WORDS))} --report")


def given(line: str) -> str:
    """What a command that succeeds here prints."""
    done = qibox(*line.split())
    assert done.status == 0, done.stderr
    return done.stdout


def ended(process: "subprocess.Popen[bytes]", status: int) -> str:
    said = process.communicate()[0].decode()
    assert process.returncode == status, said
    return said


@pytest.mark.slow
@pytest.mark.usefixtures("all_cores")
def test_stopped_in_the_middle_it_ends_as_an_unbroken_one(
    scored: Path, run: Path, tmp_path: Path
) -> None:
    """As its commands do, given by hand: what is trained in one process is what is in another."""
    broken = Path(shutil.copytree(run, tmp_path / "broken" / "run"))
    stopped = compare(broken)
    while stopped.poll() is None and not (broken / "policies/made-random-0/policy.yaml").exists():
        time.sleep(0.05)
    time.sleep(1)  # the second arm is at work
    stopped.send_signal(signal.SIGTERM)
    said = ended(stopped, 143)
    assert "Traceback" not in said
    assert said.count("Stopped by SIGTERM") == 1
    assert not (broken / "comparisons/made/replicates.parquet").exists()
    again = ended(compare(broken), 0)
    report = by_hand(run)
    for table in ("replicates", "comparisons"):
        file = f"comparisons/made/{table}.parquet"
        assert Storage(run).read_table(file) == Storage(broken).read_table(file)
    assert "with 1 of at least 6 replicates nothing can be significant" in report
    assert report.splitlines() == again[again.index("# made") :].splitlines()[:-1]
    judged = Storage(broken).read_table("comparisons/made/replicates.parquet").to_pandas()
    assert set(judged["step"]) == {1, 2}
    assert set(judged["arm"]) == {"random", "box"}
    asked = qibox("sql", broken, "select count(*) from comparisons where role = 'primary'")
    assert " 1 " in asked.stdout
    other = qibox("compare", broken, *ARMS, "--name", "made", "--report")
    assert other.status == 0
    goes_on_elsewhere(Path(shutil.copytree(scored, tmp_path / "elsewhere" / "run")), broken)


def goes_on_elsewhere(run: Path, finished: Path) -> None:
    """What was finished in one run is counted in another, and nothing of it is trained."""
    kept = finished / "comparisons/made"
    words = ["compare", run, *ARMS, "--checkpoint", 1, "--name", "goes-on"]
    done = qibox(*words, "--earlier", kept)
    assert done.status == 0, done.stderr
    assert not (run / "policies").exists()
    tables = [Storage(kept).read_table("comparisons.parquet").to_pandas()]
    tables += [Storage(run).read_table("comparisons/goes-on/comparisons.parquet").to_pandas()]
    assert tables[1]["nested_low"].isna().all()  # the answers to single samples are elsewhere
    same = [name for name in tables[0] if name not in ("comparison", "nested_low", "nested_high")]
    assert tables[0][same].equals(tables[1][same])
    for others, says in (
        (["--earlier", kept, "--earlier", kept], "give one of them"),
        (["--earlier", run], "holds no plan.yaml and replicates.parquet"),
        (["--earlier", kept, "--steps", 3], "is of another steps"),
    ):
        done = qibox(*words, *others)
        assert (done.status, done.stderr.count("\n")) == (2, 1)
        assert says in done.stderr


def test_a_plan_is_printed_with_its_power_and_its_words_are_read_first(run: Path) -> None:
    path = run / "plan.yaml"
    arms = [{"name": "one", "select": "--random 8"}, {"name": "two", "select": "--rnd 8"}]
    plan = {"name": "p", "about": "P.", "seeds": [0], "steps": 2, "arms": arms}
    path.write_text(yaml.safe_dump(plan))
    done = qibox("compare", run, path, "--plan")
    assert done.status == 2
    assert "arm 'two', select --rnd 8: No such option" in done.stderr
    arms[1]["select"] = "--random 8 --seed 3"
    path.write_text(yaml.safe_dump(plan))
    done = qibox("compare", run, path, "--plan")
    assert done.status == 2
    assert "arm 'two': --seed is given by the comparison itself: leave it out" in done.stderr
    assert not (run / "comparisons").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "nothing to compare was named"),
        (["--selections", "random,best"], "--selections names 'best': there are random, box"),
        (["--selections", "random"], "at least 2 items"),
        (["--selections", "random,box", "--steps", 5, "--checkpoint", 5], "not before the last"),
        (["--selections", "random,box", "--against", "none"], "against names 'none'"),
        (["a.yaml", "b.yaml"], "give one RUN and one PLAN.yaml at most"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(run: Path, words: list[object], says: str) -> None:
    done = qibox("compare", run, *words)
    assert (done.status, done.stderr.count("\n")) == (2, 1)
    assert says in done.stderr


def test_another_plan_of_that_name_is_refused(run: Path) -> None:
    storage = Storage(run)
    from qibox.cli.compare_plan import resolved_plan
    from qibox.comparison.kept import claim
    from qibox.run.directory import Run

    names = ("trainings", "seeds", "steps", "size", "name", "recipe", "pool", "limit", "workers")
    options = dict.fromkeys(names) | {"selections": "random,box"}
    lists = ("checkpoints", "judges", "last_judges", "against")
    plan = resolved_plan(None, options | dict.fromkeys(lists, ()))
    claim(Run.open(str(run)), plan)
    assert storage.exists("comparisons/random-box/plan.yaml")
    done = qibox("compare", run, "--selections", "random,box", "--steps", 3)
    assert done.status == 2
    assert "comparison 'random-box' is there with another" in done.stderr
