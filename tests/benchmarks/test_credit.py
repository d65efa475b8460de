"""The credit table, on next to nothing: one step, a handful of held-out samples."""

from pathlib import Path

import pytest

from tests.benchmarks.scripts import script

SMALL = "--limit 40 --size 8 --steps 1 --held-out 6 --samples 1 --seeds 3 --arms turn plain"


@pytest.mark.slow
def test_the_table_has_a_row_an_arm_and_nothing_is_made_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    credit = script("credit")
    credit.main([str(tmp_path / "run"), *SMALL.split()])
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split(" | ")[0] for line in lines[2:-1]]
    assert rows == ["| start", "| turn", "| plain"]
    assert lines[4].endswith("| – |")  # plain corrects nothing
    name, value = lines[-1].split(": ")
    assert name == "implicit_safe_turn"
    assert 0 <= float(value) <= 100

    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("run/policies/*/policy.yaml")}
    assert len(made) == 2
    credit.main([str(tmp_path / "run"), *SMALL.split()])
    assert capsys.readouterr().out.splitlines() == lines
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_a_mean_counts_only_the_seeds_that_have_a_value() -> None:
    credit = script("credit")
    assert credit.cell([0.5, None, 1.0]) == "75.0 (50 100)"
    assert credit.cell([None]) == "–"
