"""The whole path through the real command line, on a small part of the miniature world."""

import contextlib
import sys
from pathlib import Path

import duckdb
import pytest

import qibox
from qibox.run.directory import Run
from qibox.trainee.answers import answers
from qibox.trainee.value import value
from tests import commands

ROOT = Path(__file__).parents[1]
SAMPLES = 40


def qibox_command(*arguments: object, cwd: Path) -> commands.Done:
    with contextlib.chdir(cwd):
        return commands.qibox(*arguments)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a run that was scored, selected from, trained on and evaluated."""
    base = tmp_path_factory.mktemp("work")
    for line in (
        f"score --limit {SAMPLES} --samples-per-model 3",
        "select --q-band 3 9 --u-min 1",
        "train --steps 2",
        "eval --limit 20 --samples-per-model 1",
    ):
        done = qibox_command(*line.split(), cwd=base)
        assert done.status == 0, f"qibox {line}\n{done.stdout}\n{done.stderr}"
    return base


# Written apart from the code: formulas as DESIGN has them, in the database's own aggregates.
PLAIN_SQL = """
with per_model as (
  select sample_id, model, avg(score) as mu, var_pop(score) as v
  from read_parquet('runs/mini/judgments/*/*/*.parquet', hive_partitioning = false)
  where score is not null group by sample_id, model having count(*) >= 3
)
select sample_id,
  round(avg(mu), 6) as quality,
  round(stddev_pop(mu), 6) as disagreement,
  round(sqrt(avg(v)), 6) as self_instability,
  round(sqrt(var_pop(mu) + avg(v)), 6) as instability
from per_model group by sample_id having count(*) >= 5
"""
COLUMNS = ("quality", "disagreement", "self_instability", "instability")


@pytest.mark.slow
def test_scores_equal_plain_sql_and_select_the_same(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work)
    again = {row[0]: row[1:] for row in duckdb.sql(PLAIN_SQL).fetchall()}
    written = {
        row[0]: row[1:]
        for row in duckdb.sql(
            f"select sample_id, {', '.join(COLUMNS)} from 'runs/mini/scores/*.parquet' "
            "where quality is not null"
        ).fetchall()
    }
    assert len(written) == SAMPLES
    assert again.keys() == written.keys()
    for sample_id, values in written.items():
        assert values == pytest.approx(again[sample_id], abs=1e-6), sample_id
    chosen = {i for i, (q, _, _, u) in written.items() if 3 <= q <= 9 and u >= 1}
    assert chosen
    with qibox.open("runs/mini") as run:
        selected = run.selection("default").select("sample_id").fetchall()
    assert {sample_id for (sample_id,) in selected} == chosen


def test_every_table_is_in_sql(work: Path) -> None:
    for view, rows in (
        ("pool", SAMPLES),
        ("responses", SAMPLES * 7 * 3),
        ("judgments", SAMPLES * 7 * 3),
        ("scores", SAMPLES),
        ("rollouts", 2 * 4 * 5),
    ):
        query = f"select count(*) as n from {view}"
        done = qibox_command("sql", "runs/mini", query, "--format", "csv", cwd=work)
        assert done.stdout.split() == ["n", str(rows)], done.stderr


def test_the_same_score_again_does_nothing(work: Path) -> None:
    files = sorted((work / "runs/mini").rglob("shard-*.parquet"))
    before = [(f, f.stat().st_ino, f.stat().st_mtime_ns) for f in files]
    done = qibox_command("score", "--limit", SAMPLES, "--samples-per-model", "3", cwd=work)
    assert done.status == 0
    assert [(f, f.stat().st_ino, f.stat().st_mtime_ns) for f in files] == before


def test_no_file_of_the_run_names_this_machine(work: Path) -> None:
    for file in (work / "runs/mini").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert str(work).encode() not in content, file
            assert str(ROOT).encode() not in content, file
            assert sys.prefix.encode() not in content, file


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["select", "runs/none", "--q-band", "3", "9", "--u-min", "1"], 2),
        (["select", "--q-band", "9", "3", "--u-min", "1"], 2),
        (["select", "--q-band", "1", "1.01", "--u-min", "4.4", "--name", "empty"], 1),
        (["score", "--models", "nobody", "--out", "runs/other"], 2),
        (["score", "--panel", "broken.yaml", "--out", "runs/other"], 2),
        (["score", "--samples-per-model", "0", "--out", "runs/other"], 2),
        (["train", "runs/none"], 2),
        (["sql", "runs/mini", "drop table pool"], 2),
        (["show", "runs/mini", "mini-999999"], 2),
    ],
)
def test_bad_usage_is_one_sentence(work: Path, arguments: list[str], status: int) -> None:
    (work / "broken.yaml").write_text("models: [unclosed")
    done = qibox_command(*arguments, cwd=work)
    assert done.status == status, done.stderr
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not (work / "runs/other").exists()


@pytest.fixture(scope="module")
def profiled(work: Path) -> Path:
    """The same run, and what the start policy answers to its pool."""
    how = "--samples-per-model 5 --setting isolate=false --engine transformers"
    for line in (f"profile {how} --quiet", f"select --random {SAMPLES} --name all"):
        done = qibox_command(*line.split(), cwd=work)
        assert done.status == 0, f"qibox {line}\n{done.stdout}\n{done.stderr}"
    return work / "runs/mini"


def test_what_a_profile_came_to_is_kept_and_changes_no_choice(profiled: Path) -> None:
    (kept,) = (profiled / "profiles/builtin-policy/answered").iterdir()
    assert sum(duckdb.sql(f"select sum(told) from '{kept}'").fetchall()[0]) == 5 * SAMPLES
    shards = []
    for name in ("with", "without"):
        select = ["select", "--rank", "trainee", "--limit", 10, "--name", name]
        assert qibox_command(*select, cwd=profiled.parents[1]).status == 0
        (shard,) = (profiled / f"selections/{name}/data").iterdir()
        shards.append(shard.read_bytes())
        if name == "with":
            kept.unlink()
    assert kept.exists()
    assert shards[0] == shards[1]


def test_what_share_of_groups_teaches_nothing_is_foretold(profiled: Path) -> None:
    """Trained at a rate that leaves the policy as it is, so that all groups are of the start."""
    line = f"train --selection all --steps {SAMPLES // 4} --learning-rate 1e-12 --name still"
    done = qibox_command(*line.split(), cwd=profiled.parents[1])
    assert done.status == 0, done.stderr
    run = Run.open(profiled)
    known = answers(run, "builtin-policy", 5, "structured", recovers=True)
    _, foretold = value(run, known).selections["all"]
    shown = duckdb.sql(
        "select avg(flat::int), count(*) from (select bool_and(zero_variance) as flat "
        f"from '{profiled}/policies/still/rollouts/*.parquet' group by step, sample_id)"
    ).fetchall()
    assert shown[0][1] == SAMPLES
    assert foretold == pytest.approx(shown[0][0], abs=0.1)
    assert 0.2 < foretold < 0.8
