"""The box's yield from a probe: its interval covers what the whole pool comes to."""

import random
from pathlib import Path

import pytest

from qibox.box import Box
from qibox.errors import UsageError
from qibox.forecast.answers import yield_of
from qibox.forecast.probe import draw, write_probe
from qibox.manifests.judge import JudgeManifest
from qibox.run.directory import Run
from qibox.run.storage import Storage
from qibox.run.units import shard_key
from tests.runs import sample, write_run

SEEDS, POOL, DRAWN = 200, 400, 40
BOX = Box(4, 8, 1.5)


@pytest.fixture(scope="module")
def scores() -> dict[str, tuple[float, float]]:
    rng = random.Random(0)
    return {f"s{i:03d}": (rng.uniform(1, 10), rng.uniform(0, 4.5)) for i in range(POOL)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, scores: dict[str, tuple[float, float]]) -> Run:
    rows = [sample(i, *both, image=None) for i, both in scores.items()]
    return write_run(tmp_path_factory.mktemp("pool") / "run", rows, shard_size=150, scored=False)


def test_the_interval_covers_the_pools_yield(
    run: Run, scores: dict[str, tuple[float, float]]
) -> None:
    inside = {i for i, both in scores.items() if BOX.holds(*both)}
    assert 0.2 < len(inside) / POOL < 0.4
    covered = firsts = 0
    for seed in range(SEEDS):
        ids = draw(run, DRAWN, seed)["sample_id"].to_pylist()
        assert len(set(ids)) == DRAWN
        found = yield_of(len(inside & set(ids)), DRAWN, POOL)
        assert found.low <= found.expected <= found.high
        covered += found.low <= len(inside) <= found.high
        firsts += "s000" in ids
    assert covered >= 0.95 * SEEDS  # 95 % promised; exact and without replacement, so more
    assert 8 <= firsts <= 32  # each sample is drawn in a tenth of the probes: 20 ± 3 deviations


@pytest.mark.parametrize(
    ("passed", "drawn", "samples", "expected", "low", "high"),
    [
        # Clopper and Pearson: of 0 of n up to 1 − (.025)^(1/n): .0881 of 40
        (0, 40, 1000, 0, 0, 89),
        (40, 40, 1000, 1000, 911, 1000),
        (20, 200, 10_000, 1000, 621, 1503),  # .0621 to .1502, as tables have it
        (3, 10, 10, 3, 3, 3),  # the whole pool was drawn
        (9, 10, 11, 10, 9, 10),  # at least those that were seen, one may be added
    ],
)
def test_intervals_by_hand(
    passed: int, drawn: int, samples: int, expected: int, low: int, high: int
) -> None:
    found = yield_of(passed, drawn, samples)
    assert (found.expected, found.low, found.high) == (expected, low, high)


def test_a_probe_is_a_run_of_those_samples(run: Run, tmp_path: Path) -> None:
    drawn = draw(run, 12)
    probe, index = write_probe(Storage(tmp_path), run, drawn)
    assert (index.samples, index.sizes) == (12, (2, 10))
    assert index == Run.open(tmp_path).pool_index()
    first = probe.storage.read_table("pool/shard-00000.parquet")
    assert shard_key(first) == index.keys[0]
    assert first["sample_id"].to_pylist() == drawn["sample_id"].to_pylist()[:2]
    assert write_probe(Storage(tmp_path / "few"), run, draw(run, 1))[1].sizes == (1,)


def test_more_than_the_pool_has_is_refused(run: Run) -> None:
    with pytest.raises(UsageError, match="a probe of 401 samples is more than the pool's 400"):
        draw(run, 401)


def test_people_rate_no_probe(run: Run, tmp_path: Path) -> None:
    people = JudgeManifest(
        name="people", about="labels", kind="people", path="labels/people.parquet", revision="x"
    )
    judges = (*run.manifest.judges, people)
    both = Run(run.storage, run.manifest.model_copy(update={"judges": judges}))
    probe, _ = write_probe(Storage(tmp_path), both, draw(run, 3))
    assert [judge.name for judge in probe.manifest.judges] == ["hash"]
    alone = Run(run.storage, run.manifest.model_copy(update={"judges": judges[1:]}))
    with pytest.raises(UsageError, match=r"first judge of .* is people"):
        write_probe(Storage(tmp_path), alone, draw(run, 3))
