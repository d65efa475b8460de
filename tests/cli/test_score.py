import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from qibox.cli.main import cli
from qibox.errors import TooManyRejectsError, UsageError
from qibox.run.directory import Run
from tests.recordings import record, said, write_responses


def qibox(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return record(tmp_path / "data", 6)


def score(data: Path, *more: object) -> Result:
    manifests = ("--pool", data / "pool.yaml", "--panel", data / "panel.yaml", "--judge", "hash")
    return qibox("score", *manifests, *more)


def test_help_shows_an_example() -> None:
    assert "Example: qibox score" in qibox("score", "--help").output


def test_a_run_ends_with_its_account(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = score(data, "--out", out)
    assert done.exit_code == 0, done.output
    assert "6 rows in = 6 scored + 0 not scored" in done.stdout
    assert "responses (3), judgments-hash, scores: 78 rows in" in done.stderr  # hold no model
    again = score(data, "--out", out, "-q")
    assert (again.exit_code, again.output) == (0, "")


def test_options_reach_the_run(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--samples-per-model", 1, "--limit", 3, "--seed", 9, "--models", "ada,cid")
    done = score(data, "--out", out, *options, "--", "--direct_num_workers=1")
    assert done.exit_code == 0, done.output
    manifest = Run.open(out).manifest
    assert manifest.limit == 3
    assert list(manifest.panel.models) == ["ada", "cid"]
    assert (manifest.panel.sampling.samples, manifest.panel.sampling.seed) == (1, 9)
    assert "3 rows in = 3 scored" in done.stdout


def test_a_dry_run_lists_waves_units_and_calls(data: Path, tmp_path: Path) -> None:
    done = score(data, "--out", tmp_path / "run", "--dry-run")
    assert done.exit_code == 0, done.output
    rows = [[c.strip() for c in line.split("│")] for line in done.stdout.splitlines()]
    assert ["", "responses-ada", "2", "0", "2", "12", ""] in rows
    assert ["", "judgments-hash", "6", "0", "6", "36", ""] in rows
    assert ["", "scores", "2", "0", "2", "", ""] in rows
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--models", "ada,eve"], "no model named 'eve' in panel recorded: it has ada, bay, cid"),
        (["--judge", "nobody"], "no judge manifest named 'nobody'"),
        (["--panel", "nobody"], "no panel manifest named 'nobody'"),
        (["--pool", "nobody"], "no pool manifest named 'nobody'"),
        (["--pool", "./nobody.csv"], "no pool at ./nobody.csv"),
        (["--replay", "nobody"], "no recorded responses at nobody"),
        (["--question-column", "q"], "names its own columns"),
        (["--", "--colour=red"], "Beam knows no option colour"),
    ],
)
def test_a_wrong_word_is_one_sentence(
    data: Path, tmp_path: Path, options: list[str], expected: str
) -> None:
    done = score(data, "--out", tmp_path / "run", *options)
    assert isinstance(done.exception, UsageError), done.output
    assert expected in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_more_failed_rows_than_allowed_end_in_their_own_status(data: Path, tmp_path: Path) -> None:
    write_responses(data, "bay", [(i, k, said("bay", i, k)) for i in range(5) for k in range(2)])
    done = score(data, "--out", tmp_path / "run")
    assert isinstance(done.exception, TooManyRejectsError)
    assert done.exception.exit_status == 3
    assert "2 of 36 rows of the stage responses failed (5.6%, allowed 1.0%)" in str(done.exception)
    assert "responses: 2 × not recorded" in done.stdout
    allowed = score(data, "--out", tmp_path / "run", "--max-reject-rate", 0.1)
    assert allowed.exit_code == 0


def test_responses_made_elsewhere_are_played(data: Path, tmp_path: Path) -> None:
    done = score(data, "--out", tmp_path / "run", "--replay", data / "responses")
    assert done.exit_code == 0, done.output
    assert {s.engine for s in Run.open(tmp_path / "run").manifest.panel.models.values()} == {
        "replay"
    }


def test_a_plain_file_is_a_pool(data: Path, tmp_path: Path) -> None:
    rows = [json.dumps({"query": f"what is {i} ?", "image": None}) for i in range(3)]
    (tmp_path / "mine.jsonl").write_text("\n".join(rows))
    options = ("--pool", tmp_path / "mine.jsonl", "--dry-run", "--question-column", "query")
    done = score(data, *options, "--out", tmp_path / "run")
    assert "question from 'query'" in done.stderr


def test_the_oracle_is_not_asked_about_a_pool_it_cannot_know(data: Path, tmp_path: Path) -> None:
    pool = ("--pool", data / "pool.yaml", "--panel", data / "panel.yaml")
    done = qibox("score", *pool, "--judge", "oracle", "--out", tmp_path / "run")
    assert isinstance(done.exception, UsageError)
    assert "the oracle knows miniature worlds alone" in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_a_pool_of_ones_own_is_judged_by_a_reward_model(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pool = ("--pool", data / "pool.yaml", "--panel", data / "panel.yaml")
    done = qibox("score", *pool, "--out", tmp_path / "run")
    assert isinstance(done.exception, UsageError)
    assert str(done.exception).startswith("judge 'grm': model source ")
    assert not (tmp_path / "run").exists()
