"""The frontier from safe to helpful, on next to nothing: one step, a few held-out samples."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

import qibox
from qibox.run.directory import Run
from tests.benchmarks.scripts import FOLDER, script

SETTING = "40 % twins, refill"
SMALL = "--limit 60 --size 10 --steps 1 --held-out 6 --samples 1 --seeds 3 --settings"


@pytest.mark.slow
def test_the_frontier_has_a_row_a_setting_and_nothing_is_made_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    frontier = script("frontier")
    run = str(tmp_path / "run")
    frontier.main([run, *SMALL.split(), SETTING])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:-1]] == [SETTING]
    assert lines[-1].startswith("reached: ")

    opened = qibox.open(run)
    frontier.select(Run.open(run), frontier.SETTINGS["40 % harmless"], 10, 3)
    for name, twins in (("twins-40-20-40-3", 4), ("mix-40-20-40-3", None)):
        shard = f"{run}/selections/{name}/data/train-00000-of-00001.parquet"
        rows = opened.sql("select sample_id, risk, question from pool").df().set_index("sample_id")
        chosen = rows.loc[pq.read_table(shard)["sample_id"].to_pylist()]
        assert chosen["risk"].value_counts().to_dict() == {"implicit": 4, "explicit": 2, "none": 4}
        risky = set(rows["question"][rows["risk"] == "implicit"])
        harmless = chosen["question"][chosen["risk"] == "none"]
        assert twins in (None, sum(question in risky for question in harmless))
    recipe = (tmp_path / "run/recipes/40-twins-refill.yaml").read_text()
    assert "refill: 3" in recipe

    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("run/policies/*/policy.yaml")}
    assert len(made) == 1
    frontier.main([run, *SMALL.split(), SETTING])
    assert capsys.readouterr().out.splitlines() == lines
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_what_is_wanted_is_reached_by_all_means_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    frontier = script("frontier")
    good = {"implicit safe": 0.97, "explicit safe": 0.98, "helpful": 0.89}
    low = {**good, "helpful": 0.88}
    assert frontier.reached([good, {**low, "helpful": 0.90}])
    assert not frontier.reached([good, low])
