"""Six published benchmarks through `qibox eval --suite six`, from small copies as published."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from qibox.cli import console
from qibox.cli.main import cli
from qibox.manifests import SuiteManifest, load_manifest
from qibox.pipelines.run import score_run
from tests.evaluations import Watching
from tests.pool.published import obtain_six
from tests.recordings import record, recorded

SIX = load_manifest(SuiteManifest, "six")
WITHOUT_RISKS = ("beavertails-v-eval", "spa-vl-harm")
SAMPLES = {  # of the copies; see test_suite.py
    "siuo": 2,
    "mss-bench": 6,
    "beavertails-v-eval": 2,
    "mm-safetybench": 4,
    "spa-vl-harm": 2,
    "vlguard-test": 3,
}
POLICIES = ("builtin-policy", "builtin-strong")
K = 2


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a run, and the six where a person downloads them to."""
    folder = tmp_path_factory.mktemp("six")
    obtain_six(folder)
    score_run(folder / "run", recorded(record(folder / "data")), Watching())
    return folder


@pytest.fixture(scope="module")
def shown(work: Path) -> Result:
    """What is printed for two shipped policies, on a wide terminal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        patch.setattr(console, "out", Console(width=240))
        policies = ["--policy", "builtin:policy", "--policy", "builtin:strong"]
        options = ["--suite", "six", "--judge", "hash", "--samples-per-model", str(K)]
        done = CliRunner().invoke(cli, ["eval", "run", *policies, *options])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope="module")
def rates(work: Path, shown: Result) -> pd.DataFrame:
    """The rates that were kept."""
    files = [work / "run/evaluations" / name / "rates.parquet" for name in SAMPLES]
    return pd.concat(pd.read_parquet(file) for file in files)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]


@pytest.mark.slow
def test_the_table_has_a_row_a_policy_and_a_pair_of_columns_a_benchmark(
    shown: Result, rates: pd.DataFrame
) -> None:
    lines = shown.stdout.splitlines()
    assert "six, judge hash: percent" in lines[0]
    heads = [cell for cell in cells(lines[2]) if cell]
    assert heads == [*(each.label for each in SIX.benchmarks), "average"]
    whole = rates[rates["by"] == "all"].set_index(["policy", "pool", "measure"])["value"]
    for policy in POLICIES:
        (row,) = (cells(line) for line in lines if cells(line)[:1] == [policy])
        numbers = [
            round(100 * whole[policy, each.pool, measure])
            for each in SIX.benchmarks
            for measure in ("safety", "helpfulness")
        ]
        assert [int(cell) for cell in row[1:-2]] == numbers
        means = [100 * whole[policy, :, measure].mean() for measure in ("safety", "helpfulness")]
        assert [int(cell) for cell in row[-2:]] == pytest.approx(means, abs=0.5)
    assert "–" not in shown.stdout  # also of benchmarks that publish no risks
    assert "the average weighs 6 benchmarks alike" in shown.stdout
    assert "not evaluated" not in shown.stdout


def test_every_sample_of_the_six_was_answered_and_judged(rates: pd.DataFrame) -> None:
    safety = rates[(rates["measure"] == "safety") & (rates["by"] == "all")]
    for policy in POLICIES:
        own = safety[safety["policy"] == policy].set_index("pool")
        assert own["samples"].to_dict() == SAMPLES
        assert own["responses"].to_dict() == {name: K * n for name, n in SAMPLES.items()}
        assert set(own["not_judged"]) == {0}


def test_benchmarks_without_risks_have_numbers_over_all_and_by_category(
    rates: pd.DataFrame,
) -> None:
    for name in WITHOUT_RISKS:
        own = rates[rates["pool"] == name]
        assert set(own["by"]) == {"all", "category"}
        pair = own[own["measure"].isin(["safety", "helpfulness"])]
        assert pair[["value", "low", "high"]].notna().all(axis=None)
        assert "over-refusal" not in set(own["measure"])  # no request is known to be harmless
    known = rates[rates["measure"] == "over-refusal"]
    assert set(known["pool"]) == {"mss-bench", "vlguard-test"}


def test_what_could_not_be_counted_is_null_and_what_could_is_not(rates: pd.DataFrame) -> None:
    counted = rates["samples"] > 0
    numbers = rates[["value", "low", "high"]]
    assert numbers[counted].notna().all(axis=None)
    assert numbers[~counted].isna().all(axis=None)
    assert rates[["change", "change_low", "change_high", "start"]].isna().all(axis=None)
    assert counted.any()


def test_numbers_are_those_of_the_judgments(work: Path, rates: pd.DataFrame) -> None:
    """Safety and score, counted anew from the files of one benchmark of unknown risk."""
    files = sorted((work / "run/evaluations/spa-vl-harm/judgments").rglob("*.parquet"))
    frame = pd.concat(pd.read_parquet(file, partitioning=None) for file in files)
    for policy in POLICIES:
        samples = frame[frame["model"] == policy].groupby("sample_id")
        found: dict[str, Any] = (
            rates.query("pool == 'spa-vl-harm' and policy == @policy and by == 'all'")
            .set_index("measure")["value"]
            .to_dict()
        )
        assert found["safety"] == pytest.approx(samples["safe"].mean().mean(), abs=1e-6)
        assert found["score"] == pytest.approx(samples["score"].mean().mean(), abs=1e-6)
