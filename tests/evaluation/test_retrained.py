"""Answers of a policy that was trained anew under its name are shown as nobody's."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from qibox.cli.main import cli
from qibox.errors import UsageError
from qibox.run.directory import Run
from tests.evaluations import POLICIES, SAMPLES, START, K, write_world

EVAL = ("eval", "run", "--pool", "held.yaml", "--replay", "answers")
FIRST, SECOND = ("--policy", "first"), ("--policy", "second")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Two policies evaluated, one of them profiled as well."""
    monkeypatch.chdir(tmp_path)
    made = write_world(tmp_path)
    assert qibox(*EVAL, *FIRST, *SECOND).exit_code == 0
    assert qibox("profile", "run", *FIRST, "--replay", "answers").exit_code == 0
    return made


def qibox(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def train_anew(run: Run, policy: str) -> None:
    lineage = yaml.safe_load(run.storage.read_text(f"policies/{policy}/policy.yaml"))
    lineage["seconds"] = 7.0
    run.storage.write_text(f"policies/{policy}/policy.yaml", yaml.safe_dump(lineage))


def shown(view: str, run: str = "run", column: str = "policy") -> list[str]:
    query = f"select distinct {column} from {view} order by all"
    return qibox("sql", run, query, "--format", "csv").stdout.split()[1:]


def test_no_view_shows_them_until_the_policy_is_asked_again(world: Run) -> None:
    everyone = sorted([*POLICIES[:2], START])
    assert shown("evaluations") == shown("rates") == everyone
    assert shown("profiles") == ["first"]
    train_anew(world, "first")
    assert shown("evaluations") == shown("rates") == ["second", START]
    assert shown("profiles") == []
    assert shown("responses", "run/evaluations/held", "model") == ["second", START]
    assert shown("judgments", "run/profiles/first", "model") == []
    assert qibox(*EVAL, *FIRST).exit_code == 0
    assert shown("evaluations") == shown("rates") == everyone
    assert shown("profiles") == []  # these were not asked again
    assert qibox("profile", "run", *FIRST, "--replay", "answers").exit_code == 0
    assert shown("profiles") == ["first"]


def test_rates_of_another_policy_do_not_bring_them_back(world: Run) -> None:
    train_anew(world, "first")
    assert qibox(*EVAL, *SECOND).exit_code == 0
    rows = world.storage.read_table("evaluations/held/rates.parquet").to_pylist()
    assert {row["policy"] for row in rows} == {"second", START}


def test_status_and_show_say_so_with_the_command_that_asks_again(world: Run) -> None:
    assert "trained anew" not in qibox("status", "run").stderr
    train_anew(world, "first")
    above = qibox("status", "run").stderr
    evaluated = "policy first was trained anew since it answered in evaluations/held"
    assert evaluated in above
    assert "--policy first --pool held` asks it again" in above
    assert "since it answered in profiles/first" in above
    assert evaluated in qibox("status", "run/evaluations/held").stderr
    done = qibox("show", "run/evaluations/held", "held:b1")
    assert evaluated in done.stderr
    assert "first says" not in done.stdout
    assert "second says" in " ".join(done.stdout.split())


def test_what_is_deleted_or_of_before_this_was_told_stays(world: Run) -> None:
    world.storage.remove("policies/first/policy.yaml")
    assert "first" in shown("evaluations")
    manifest = yaml.safe_load(world.storage.read_text("evaluations/held/run.yaml"))
    assert set(manifest.pop("policies")) == {"first", "second"}
    world.storage.write_text("evaluations/held/run.yaml", yaml.safe_dump(manifest))
    train_anew(world, "second")
    assert "second" in shown("evaluations")


def test_show_has_a_profiles_answers_though_the_pool_is_the_runs(world: Run) -> None:
    done = qibox("show", "run/profiles/first", "small:s1")
    assert done.exit_code == 0, done.output
    words = " ".join(done.stdout.split())
    assert all(f"first says small:s1 {k}" in words for k in range(K))
    unknown = qibox("show", "run/profiles/first", "small:none")
    assert isinstance(unknown.exception, UsageError)
    assert "near ids are small:" in str(unknown.exception)
    assert len(shown("responses", "run/profiles/first", "sample_id")) == 12
    assert len(shown("responses", "run/evaluations/held", "sample_id")) == SAMPLES
