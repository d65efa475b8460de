from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from qibox.cli.main import cli
from qibox.confidence.intervals import INTERVALS, enough, intervals
from qibox.errors import QiboxError, UsageError
from qibox.manifests.box import Edge
from qibox.run.directory import Run
from qibox.scores import score_samples
from qibox.selection.choose import choose
from qibox.selection.confident import edges_of
from qibox.selection.lineage import lineage
from qibox.selection.request import OPEN_BOX, Request, Steering, at_random, by_box
from tests.runs import MODELS, manifest, sample, write_run

K = 5


def write_judged(path: Path, answers: dict[str, list[list[float | None]]], **made: Any) -> Run:
    """A run of two models whose scores are given, sample by sample; scored as the pipeline does."""
    run = write_run(path, [sample(i, 5, 0) for i in answers], made_of=manifest(samples=K, **made))
    index = run.pool_index()
    assert index is not None
    for unit in run.judgments_units(run.manifest.judges[0], index.shards()):
        table = run.storage.read_table(unit.path)
        at = MODELS.index(unit.model)
        rows = zip(table["sample_id"].to_pylist(), table["k"].to_pylist(), strict=True)
        scores = pa.array([answers[i][at][k] for i, k in rows], pa.float64())
        table = table.set_column(table.schema.get_field_index("score"), "score", scores)
        run.storage.write_table(unit.path, table, unit.key)
    for unit in run.scores_units(index.shards()):
        judged = pa.concat_tables(run.storage.read_table(name) for name in unit.inputs)
        ids = run.storage.read_table(unit.pool)["sample_id"].combine_chunks()
        run.storage.write_table(unit.path, score_samples(ids, judged, 1, 1), unit.key)
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """sure: models waver between 1 and 10; even: all 5; edge: in between; lost: nothing."""
    answers: dict[str, list[list[float | None]]] = {
        "sure": [[1, 10, 1, 10, 1], [10, 1, 10, 1, 10]],
        "even": [[5] * K, [5] * K],
        "edge": [[4, 4, 4, 8, 8], [5, 6, 5, None, None]],
        "lost": [[None] * K, [None] * K],
    }
    return write_judged(tmp_path / "runs/mini", answers, name="mini")


def least(value: float, **steering: Any) -> Request:
    box = OPEN_BOX.model_copy(update={"u_min": Edge(value=value)})
    return by_box(box, steering=Steering(**steering))


def rows(run: Run, request: Request, **how: Any) -> dict[str, dict[str, Any]]:
    found = intervals(run, edges_of(run, request), **how).rows
    assert found.schema.equals(INTERVALS)
    return {row["sample_id"]: row for row in found.to_pylist()}


def test_what_never_wavers_has_an_interval_of_no_width(run: Run) -> None:
    found = rows(run, least(1.0))
    assert set(found) == {"sure", "even", "edge"}  # what has no scores has no interval
    even = found["even"]
    assert (even["quality_low"], even["quality_high"]) == (5.0, 5.0)
    assert (even["instability_low"], even["instability_high"]) == (0.0, 0.0)
    assert (even["in_box"], even["p_in_box"]) == (False, 0.0)


def test_what_wavers_between_the_ends_lies_surely_in_the_box(run: Run) -> None:
    found = rows(run, least(1.5))
    # Of ten draws of 1 or 10 all are the same but once in 500 times; U is 4.5 scaled down to that.
    assert found["sure"]["p_in_box"] > 0.98
    edge = found["edge"]
    assert edge["instability_low"] < edge["instability"] < edge["instability_high"]
    assert edge["quality_low"] < edge["quality"] < edge["quality_high"]
    assert edge["in_box"] == (edge["instability"] >= 1.5)


def test_the_same_seed_gives_the_same_and_shards_do_not_matter(run: Run, tmp_path: Path) -> None:
    first = rows(run, least(1.0), seed=4)
    assert rows(run, least(1.0), seed=4) == first
    assert rows(run, least(1.0), seed=5) != first


def test_more_answers_leave_samples_on_their_side(run: Run) -> None:
    request = least(1.4)
    found = intervals(run, edges_of(run, request), answers=(1, 5, 32))
    assert found.agreement[1] < found.agreement[32]
    assert enough(found.agreement, 0.5) is not None
    assert enough({1: 0.6, 5: 0.8}, 0.9) is None
    assert enough({5: 0.9, 1: 0.6}, 0.9) == 5


def test_only_who_lies_surely_in_the_box_is_chosen(run: Run) -> None:
    plain = choose(run, least(1.0))
    assert plain.chosen.to_pylist() == ["edge", "sure"]
    p = rows(run, least(1.0))["edge"]["p_in_box"]
    assert p < 1
    sure = choose(run, least(1.0, min_confidence=p + 0.001))
    assert sure.chosen.to_pylist() == ["sure"]
    assert sure.unsure == 1
    assert lineage(run, sure)["min_confidence"] == p + 0.001
    assert choose(run, least(1.0, min_confidence=p)).chosen.to_pylist() == ["edge", "sure"]
    with pytest.raises(UsageError, match="drawn at random lie in no box"):
        at_random(2, steering=Steering(min_confidence=0.5))
    with pytest.raises(QiboxError, match=r"none of the 1 samples in the box lies in it in 1 of"):
        choose(run, least(4.5, min_confidence=1.0))


def test_the_command_tells_and_writes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(run.storage.path("")).parents[1])
    command = ["intervals", "runs/mini", "--u-min", "1", "-o", "found.csv", "--resamples", "50"]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.exception
    assert "95% intervals of 3 scored samples" in done.stdout
    assert "each model was asked 5 times" in done.stdout
    lines = Path("found.csv").read_text().splitlines()
    assert lines[0] == ",".join(f'"{name}"' for name in INTERVALS.names)
    assert len(lines) == 4
    refused = CliRunner().invoke(cli, [*command[:5], "found.json"])
    assert "-o takes a file that ends in .parquet or .csv" in str(refused.exception)
