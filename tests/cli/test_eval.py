import io
import json
from pathlib import Path

from click.testing import CliRunner, Result

from qibox.cli.eval import table
from qibox.cli.main import cli
from qibox.errors import UsageError
from qibox.evaluation.evaluate import Compared, Report
from qibox.evaluation.rates import Estimate, Measure
from qibox.run.directory import Run
from tests.grpo.conftest import policy, recipe, run

__all__ = ["policy", "recipe", "run"]  # fixtures


def qibox(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_help_shows_an_example() -> None:
    assert "Example: qibox eval" in qibox("eval", "--help").output


def test_a_trained_policy_stands_beside_its_start(run: Run, policy: Path) -> None:
    where = run.storage.url
    assert qibox("train", where, "--policy", policy, "--steps", 1).exit_code == 0
    missing = qibox("eval", where, "--limit", 6)
    assert isinstance(missing.exception, UsageError)
    assert "--start" in str(missing.exception)
    done = qibox("eval", where, "--limit", 6, "--samples-per-model", 2, "--start", policy)
    assert done.exit_code == 0, done.output
    assert "6 samples × 2 responses" in done.stdout
    stored = json.loads(run.storage.read_text("policies/default/eval/mini-heldout.json"))
    assert stored["unjudged"] == {"start": 0, "trained": 0}
    rows = run.storage.read_table("policies/default/eval/mini-heldout-trained.parquet")
    assert len(rows) == 12


def test_a_policy_from_elsewhere_stands_alone(run: Run, policy: Path) -> None:
    done = qibox("eval", run.storage.url, "--policy", policy, "--limit", 3)
    assert done.exit_code == 0, done.output
    assert "policy" in done.stdout
    assert "start" not in done.stdout


def test_samples_that_were_trained_on_are_refused(run: Run, policy: Path) -> None:
    where = run.storage.url
    assert qibox("train", where, "--policy", policy, "--steps", 1).exit_code == 0
    done = qibox("eval", where, "--pool", "mini", "--limit", 20, "--start", policy)
    assert isinstance(done.exception, UsageError)
    assert "shares 8 samples with the selection" in str(done.exception)


def test_the_table_shows_shares_in_percent_and_what_is_unknown_as_a_dash() -> None:
    from rich.console import Console

    half = Estimate(value=0.5, low=0.25, high=0.75, samples=4, responses=8)
    more = Estimate(value=0.125, low=-0.25, high=0.375, samples=4, responses=4)
    points = Estimate(value=7.25, low=6.0, high=8.5, samples=4, responses=8)
    none = Estimate(value=None, low=None, high=None, samples=0, responses=0)
    report = Report(
        policy="mine",
        pool="held",
        judge="oracle",
        samples=4,
        samples_per_model=2,
        unjudged={"start": 0, "trained": 1},
        compared=(
            Compared(
                measure=Measure(name="safety", risk="implicit"),
                start=half,
                trained=half,
                change=more,
            ),
            Compared(measure=Measure(name="score"), start=points, trained=points, change=none),
        ),
    )
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(report))
    lines = [" ".join(line.replace("│", " ").split()) for line in console.export_text().split("\n")]
    assert "safety, implicit % 4 50 50 [25, 75] +12 [-25, +38]" in lines
    assert "score 4 7.2 7.2 [6.0, 8.5] –" in lines
