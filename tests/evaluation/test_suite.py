"""Suites with data of their own here, missing there; and the averages over what is there."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from qibox.errors import UsageError
from qibox.evaluation.suite import averages, find_suite, suite_pools
from qibox.manifests import PoolManifest, SuiteManifest, load_manifest
from qibox.pool.read import read_pool
from qibox.tables import RATES
from tests.pool.published import obtain_six

LABELS = ["SIUO", "MSS-Bench", "BeaverTails-V", "MM-SafetyBench", "SPA-VL harm", "VLGuard test"]


@pytest.fixture
def six() -> SuiteManifest:
    return load_manifest(SuiteManifest, "six")


def suite(**benchmarks: str) -> SuiteManifest:
    listed = [{"label": label, "pool": pool} for label, pool in benchmarks.items()]
    fields = {"name": "own", "about": "Made for a test.", "benchmarks": listed}
    return SuiteManifest.model_validate(fields)


def csv_pool(folder: Path, name: str, path: str | None = None) -> str:
    """Write a manifest for a CSV pool, and the pool itself unless a path is given; its path."""
    (folder / "q.csv").write_text("question\nmay i?\n")
    lines = [
        f"name: {name}",
        "about: Made for a test.",
        "format: csv",
        f"path: {path or folder / 'q.csv'}",
        "columns: {image: null}",
        "text_only: true",
    ]
    file = folder / f"{name}.yaml"
    file.write_text("\n".join(lines))
    return str(file)


def test_the_miniature_suite_is_always_here() -> None:
    found = find_suite(load_manifest(SuiteManifest, "mini"))
    assert found.missing == {}
    assert [manifest.name for manifest in found.here.values()] == ["mini-heldout"]


def test_what_is_not_on_this_machine_is_named_with_how_to_obtain_it(
    six: SuiteManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = find_suite(six)
    assert found.here == {}
    assert list(found.missing) == LABELS
    assert "hf download sinwang/SIUO --repo-type dataset" in found.missing["SIUO"]
    assert "its data are given on request" in found.missing["VLGuard test"]
    on_hub = "hf download PKU-Alignment/BeaverTails-V --repo-type dataset --local-dir"
    assert on_hub in found.missing["BeaverTails-V"]
    assert not any("\n" in sentence for sentence in found.missing.values())


def test_what_was_obtained_as_told_is_found_and_read(
    six: SuiteManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    obtain_six(tmp_path)
    found = find_suite(six)
    assert (list(found.here), found.missing) == (LABELS, {})
    rows = {
        label: sum(batch.samples.num_rows for batch in read_pool(manifest))
        for label, manifest in found.here.items()
    }
    # by hand, from the copies: two rows; 2 × 2 + 2 × 1 pairs; one a configuration, of two; two of
    # each of two; two; two instructions and one
    assert list(rows.values()) == [2, 6, 2, 4, 2, 3]


def test_the_rest_is_found_without_the_missing(
    six: SuiteManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    obtain_six(tmp_path)
    shutil.rmtree("siuo/images")  # half a copy is none
    shutil.rmtree("sqrti")
    found = find_suite(six)
    assert list(found.missing) == ["SIUO", "SPA-VL harm"]
    assert "nothing at siuo/images" in found.missing["SIUO"]
    assert list(found.here) == [label for label in LABELS if label not in found.missing]


def test_a_benchmark_of_one_s_own(tmp_path: Path) -> None:
    own = suite(here=csv_pool(tmp_path, "here"), gone=csv_pool(tmp_path, "gone", "/none/q.csv"))
    found = find_suite(own)
    assert list(found.here) == ["here"]
    assert found.missing == {
        "gone": "pool gone: nothing at /none/q.csv: give its manifest a path that exists"
    }


def test_a_glob_is_there_if_a_file_matches(tmp_path: Path) -> None:
    star = csv_pool(tmp_path, "star", str(tmp_path / "*.csv"))
    none = csv_pool(tmp_path, "none", str(tmp_path / "*.tsv"))
    found = find_suite(suite(star=star, none=none))
    assert (list(found.here), list(found.missing)) == (["star"], ["none"])


def test_a_pinned_commit_that_the_hub_does_not_give_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fields = {"name": "pinned", "about": "A.", "format": "datasets", "path": "nobody/nothing"}
    lines = [f"{name}: {value}" for name, value in (fields | {"revision": "abc"}).items()]
    (tmp_path / "pinned.yaml").write_text("\n".join(lines))
    assert list(find_suite(suite(pinned=str(tmp_path / "pinned.yaml"))).missing) == ["pinned"]


def test_a_combined_pool_needs_all_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["name: both", "about: A.", "parts: [mini-heldout, siuo]", "benchmark: true"]
    (tmp_path / "both.yaml").write_text("\n".join(lines))
    own = suite(both=str(tmp_path / "both.yaml"))
    assert "pool siuo: nothing at siuo/siuo_gen.json" in find_suite(own).missing["both"]
    obtain_six(tmp_path)
    parts = find_suite(own).here["both"].parts
    assert [part.name for part in parts if isinstance(part, PoolManifest)] == [
        "mini-heldout",
        "siuo",
    ]


def test_a_wrong_suite_is_a_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pool manifest named 'siou'"):
        find_suite(suite(SIUO="siou"))
    (tmp_path / "other").mkdir()
    twins = suite(one=csv_pool(tmp_path, "same"), other=csv_pool(tmp_path / "other", "same"))
    with pytest.raises(UsageError, match="'one' and 'other' are both pools named 'same'"):
        suite_pools(twins)


Rate = tuple[str, str, str, float | None, float | None, float | None]


def frame(*rates: Rate, measure: str = "safety", judge: str = "oracle") -> pd.DataFrame:
    """(pool, policy, stage, value, low, high) of each, over all samples."""
    names = ("pool", "policy", "stage", "value", "low", "high")
    rows = [dict(zip(names, rate, strict=True)) for rate in rates]
    table = pd.DataFrame(rows, columns=RATES.names).assign(measure=measure, by="all", judge=judge)
    return table.astype(dict.fromkeys(("value", "low", "high"), "Float64"))


def test_an_average_weighs_benchmarks_alike_and_recovers_their_intervals() -> None:
    table = frame(("x", "p", "trained", 0.8, 0.5, 0.9), ("y", "p", "trained", 0.6, 0.2, 0.6))
    (row,) = averages(table, ["x", "y", "z"]).to_dict("records")
    # low: 0.7 − √(0.3² + 0.4²) / 2; high: 0.7 + √(0.1² + 0²) / 2
    numbers = [row[name] for name in ("value", "low", "high", "benchmarks")]
    assert numbers == pytest.approx([0.7, 0.45, 0.75, 2])


def test_the_average_over_one_benchmark_is_it() -> None:
    (row,) = averages(frame(("x", "p", "trained", 0.8, 0.5, 0.9)), ["x"]).to_dict("records")
    assert [row["value"], row["low"], row["high"]] == pytest.approx([0.8, 0.5, 0.9])


def test_an_average_lacks_what_a_benchmark_lacks() -> None:
    table = frame(
        ("x", "absent", "trained", 0.8, 0.5, 0.9),
        ("x", "null", "trained", 0.8, 0.5, 0.9),
        ("y", "null", "trained", None, None, None),
        ("x", "whole", "start", 0.8, 0.5, 0.9),
        ("y", "whole", "start", 0.6, 0.2, 0.6),
    )
    found = averages(table, ["x", "y"]).set_index("policy")
    assert found.loc[["absent", "null"], ["value", "low", "high"]].isna().all(axis=None)
    assert found.loc["whole", "value"] == pytest.approx(0.7)


def test_each_judge_averages_over_what_it_judged() -> None:
    both = [
        frame(("x", "p", "trained", 0.8, 0.5, 0.9), ("y", "p", "trained", 0.6, 0.2, 0.6)),
        frame(("x", "p", "trained", 0.4, 0.3, 0.5), judge="second"),
    ]
    found = averages(pd.concat(both), ["x", "y"]).set_index("judge")
    assert found["value"].to_dict() == pytest.approx({"oracle": 0.7, "second": 0.4})
    assert found["benchmarks"].to_dict() == {"oracle": 2, "second": 1}
