from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from qibox.cli.main import cli
from qibox.errors import TooManyRejectsError, UsageError
from qibox.run.directory import Run
from tests.evaluations import K, write_world
from tests.grpo.conftest import policy

__all__ = ["policy"]  # a fixture

POOL = 12  # samples of the recorded run


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return write_world(tmp_path)


def qibox(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def profile(*more: object) -> Result:
    """`qibox profile run --policy first`, its answers played from recordings."""
    return qibox("profile", "run", "--policy", "first", "--replay", "answers", *more)


def cells(done: Result) -> list[list[str]]:
    """The rows of the table that was printed."""
    assert done.exit_code == 0, done.output
    lines = [line.split("│") for line in done.stdout.splitlines() if "│" in line]
    return [[cell.strip() for cell in line[1:-1]] for line in lines]


def test_help_shows_an_example() -> None:
    assert "Example: qibox profile" in qibox("profile", "--help").output


def test_a_policy_answers_the_runs_own_pool(world: Run) -> None:
    done = profile()
    assert "first on the run's pool, judge hash" in done.stdout
    (row,) = cells(done)  # the recorded pool knows no risk
    files = world.storage.files("profiles/first/judgments")
    frame = pa.concat_tables(world.storage.read_table(file) for file in files).to_pandas()
    by_sample = frame.groupby("sample_id")
    unsafe = 1 - by_sample["safe"].mean()
    assert row == [
        "unknown",
        str(POOL),
        f"{frame['score'].mean():.1f}",
        f"{by_sample['score'].std(ddof=0).mean():.1f}",
        f"{100 * unsafe.mean():.0f}",
        f"{100 * unsafe.between(0, 1, inclusive='neither').mean():.0f}",
    ]
    view = "select n_judged, n_responses from profiles where policy = 'first'"
    assert view.partition(" from ")[2] in " ".join(done.stderr.split())  # the command it tells of
    rows = qibox("sql", "run", view, "--format", "csv").stdout.split()
    assert rows == ["n_judged,n_responses"] + [f"{K},{K}"] * POOL


def test_once_more_does_nothing_and_a_further_judge_asks_nothing(world: Run) -> None:
    first = cells(profile())
    before = {name: world.storage.table_key(name) for name in world.storage.files("profiles")}
    assert cells(profile("--quiet")) == first
    assert profile("--judge", "other.yaml").exit_code == 0
    count = "select judge, count(*) as n from profiles group by all order by all"
    rows = qibox("sql", "run", count, "--format", "csv").stdout.split()
    assert rows == ["judge,n", f"hash,{POOL}", f"other,{POOL}"]
    now = {name: world.storage.table_key(name) for name in before}
    assert now == before


def test_part_of_the_pool_and_fewer_answers(world: Run) -> None:
    (row,) = cells(profile("--limit", 7, "--samples-per-model", 1))
    assert row[1] == "7"
    count = "select count(*) as samples, sum(n_responses) as n from profiles"
    assert qibox("sql", "run", count, "--format", "csv").stdout.split() == ["samples,n", "7,7"]


def test_status_counts_a_profile(world: Run) -> None:
    assert profile("--limit", 7).exit_code == 0
    rows = cells(qibox("status", "run/profiles/first"))
    assert rows[:3] == [
        ["pool", str(POOL), str(POOL), "0", "0"],
        ["responses", str(7 * K), str(7 * K), "0", "0"],
        ["judgments", str(7 * K), str(7 * K), "0", "0"],
    ]


def test_answers_that_fail_are_left_out_of_the_means(world: Run) -> None:
    path = Path("answers/model=first/all.parquet")
    table = pq.read_table(path)
    pq.write_table(table.filter([i != "small:s0" for i in table["sample_id"].to_pylist()]), path)
    done = profile()
    assert isinstance(done.exception, TooManyRejectsError)
    assert f"{K} of {POOL * K} rows of the stage responses failed" in str(done.exception)
    (row,) = cells(profile("--max-reject-rate", 0.1))
    assert row[1] == str(POOL - 1)
    query = "select mean is null as empty, n_judged as n from profiles where sample_id = 'small:s0'"
    assert qibox("sql", "run", query, "--format", "csv").stdout.split() == ["empty,n", "True,0"]


def test_what_cannot_be_is_refused_in_one_sentence(world: Run) -> None:
    nobody = qibox("profile", "run", "--policy", "nobody")
    assert isinstance(nobody.exception, UsageError)
    assert "no policy named 'nobody'" in str(nobody.exception)
    world.storage.remove("pool/_index.json")
    unread = profile()
    assert isinstance(unread.exception, UsageError)
    assert "has not been read to its end yet: `qibox score --out " in str(unread.exception)


def test_a_real_policy_answers_pictures(tmp_path: Path, policy: Path) -> None:
    """A tiny policy of random weights on the miniature pool, judged by the oracle."""
    run = tmp_path / "run"
    scored = qibox("score", "--limit", 6, "--models", "strong", "--out", run)
    assert scored.exit_code == 0, scored.output
    done = qibox("profile", run, "--policy", policy, "--samples-per-model", 2)
    assert sum(int(row[1]) for row in cells(done)) == 6
    assert "random-policy on the run's pool, judge oracle" in done.stdout


def test_what_the_panel_is_worth_is_told_of_who_was_profiled(world: Run) -> None:
    command = ["value", "run", "--policy", "first", "--replay", "answers", "--limit", 8]
    done = qibox(*command)
    rows = cells(done)
    assert "which groups of first have spread: 8 samples" in done.stdout
    told = {row[0] for row in rows}
    assert {"instability", "disagreement", "self instability", "safety spread", "(pool)"} <= told
    assert {f"spread of {model}" for model in world.manifest.panel.models} <= told
    (pool,) = (row for row in rows if row[0] == "(pool)")
    assert pool[1] == str(POOL)
    last = done.stdout.rstrip().splitlines()[-1]
    assert last.endswith(".")
    assert qibox(*command, "--quiet").stdout.rstrip().splitlines()[-1] == last
