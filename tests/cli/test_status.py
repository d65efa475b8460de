from pathlib import Path

from click.testing import CliRunner, Result

from qibox.cli.account import similar
from qibox.cli.main import cli
from qibox.errors import UsageError
from qibox.scoring.lock import locked
from qibox.scoring.progress import Reporter, read_progress
from tests.runs import sample, write_run


def qibox(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_help_shows_an_example() -> None:
    assert "qibox status runs/mini --verify" in qibox("status", "--help").output


def test_no_run_is_one_sentence(tmp_path: Path) -> None:
    done = qibox("status", tmp_path / "nowhere")
    assert isinstance(done.exception, UsageError)


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    run = write_run(tmp_path, [sample("a", 5, 1), sample("b", None, None), sample("c", 2, 0)])
    done = qibox("status", tmp_path)
    assert done.exit_code == 0, done.output
    # 4 rows read: one refused, b without scores
    assert (
        "4 rows in = 2 scored + 2 not scored (1 pool: refused, 1 scores: too few judgments)"
        in done.stdout
    )
    assert "responses: 3 × engine stopped" in done.stdout
    assert "pool: 1 × no question" in done.stdout
    rows = [[c.strip() for c in line.split("│")] for line in done.stdout.splitlines()]
    assert ["", "responses", "12", "9", "3", "0", ""] in rows
    run.storage.remove("responses/model=first/shard-00000.parquet")
    later = qibox("status", tmp_path)
    rows = [[c.strip() for c in line.split("│")] for line in later.stdout.splitlines()]
    assert ["", "responses", "12", "3", "3", "6", ""] in rows


def test_a_run_at_work_says_who_is_at_it_and_how_far(tmp_path: Path) -> None:
    run = write_run(tmp_path, [sample("a", 5, 1)], scored=False)
    reporter = Reporter(run.storage, ["responses-first"])
    with locked(run.storage), reporter.accounts[0].units(1) as report:
        import pyarrow as pa

        report(pa.array([None, "no"]))
        reporter.close()
        assert read_progress(run.storage, "responses-first").rows == 2
        done = qibox("status", tmp_path)
    assert "being scored by process" in done.stderr
    assert "at work on responses-first: 2 rows so far in this go, 1 of them failed" in done.stderr
    assert "2 rows in = 0 scored + 2 not scored (1 pool: refused, 1 scores: still to do)" in (
        done.stdout
    )


def test_a_pool_half_read_is_said_to_be_so(tmp_path: Path) -> None:
    run = write_run(tmp_path, [sample("a", 5, 1)], scored=False)
    run.storage.remove("pool/_index.json")
    done = qibox("status", tmp_path)
    assert done.exit_code == 0
    assert "not been read to its end" in done.stderr


def test_reasons_of_one_kind_are_counted_together() -> None:
    reasons = {"'a' came 2 times": 3, "'b' came 15 times": 4, "lost": 1}
    assert similar(reasons) == {"'…' came N times": 7, "lost": 1}
