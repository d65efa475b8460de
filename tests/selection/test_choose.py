import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qibox.box import Box
from qibox.errors import QiboxError, UsageError
from qibox.manifests import BoxManifest
from qibox.manifests.box import Edge
from qibox.run.directory import Run
from qibox.selection.choose import choose
from qibox.selection.request import OPEN_BOX, at_random, by_box
from tests.runs import Row, sample, write_run


def values(low: float, high: float, least: float, **more: Any) -> BoxManifest:
    edges = {"q_low": Edge(value=low), "q_high": Edge(value=high), "u_min": Edge(value=least)}
    return OPEN_BOX.model_copy(update={**edges, **more})


def quantiles(low: float, high: float, least: float, **more: Any) -> BoxManifest:
    edges = {
        "q_low": Edge(quantile=low),
        "q_high": Edge(quantile=high),
        "u_min": Edge(quantile=least),
    }
    return OPEN_BOX.model_copy(update={**edges, **more})


def ids(run: Run, *args: Any, **kwargs: Any) -> list[str]:
    found: list[str] = choose(run, by_box(*args, **kwargs)).chosen.to_pylist()
    return found


@pytest.fixture
def ladder(tmp_path: Path) -> Run:
    """Quality 1 … 10 and instability 4.5 … 0 over ten samples, a to j, and one without scores."""
    rows = [sample(name, 1.0 + i, 4.5 - i / 2) for i, name in enumerate("abcdefghij")]
    return write_run(tmp_path / "run", [*rows, sample("k", None, None)])


def test_edges_are_included_and_null_is_in_no_box(ladder: Run) -> None:
    # c has Q 3 and U 3.5, e has Q 5 and U 2.5: both lie on an edge of their own.
    assert ids(ladder, values(3, 6, 2.5)) == ["c", "d", "e"]
    assert ids(ladder, values(1, 10, 0)) == list("abcdefghij")


def test_written_values_are_compared_to_the_last_decimal(tmp_path: Path) -> None:
    run = write_run(tmp_path, [sample("in", 5.123457, 2.0), sample("out", 5.123458, 2.0)])
    assert ids(run, values(1, 5.123457, 0)) == ["in"]


def test_the_counts_tell_pool_scored_passed_and_chosen_apart(ladder: Run) -> None:
    choice = choose(ladder, by_box(values(3, 8, 0, limit=2)))
    assert (choice.samples, choice.scored, choice.passed, len(choice.chosen)) == (11, 10, 6, 2)
    assert choice.by_stratum == {"pool": (6, 2)}
    assert choice.sources == {"handmade": 2}


def test_a_quantile_is_the_smallest_value_that_its_share_does_not_exceed(ladder: Run) -> None:
    # Of 1 … 10: at least 0.2 of the values are ≤ 2, at least 0.75 are ≤ 8; of U at least 0.5
    # are ≤ 2 (0, 0.5, 1, 1.5, 2). So 2 ≤ Q ≤ 8 and U ≥ 2: b to f.
    choice = choose(ladder, by_box(quantiles(0.2, 0.75, 0.5)))
    assert [b.box for b in choice.boxes] == [Box(q_low=2, q_high=8, u_min=2)]
    assert choice.chosen.to_pylist() == list("bcdef")


def test_the_outermost_quantiles_are_the_outermost_values(ladder: Run) -> None:
    assert ids(ladder, quantiles(0, 1, 0)) == list("abcdefghij")
    assert ids(ladder, quantiles(1, 1, 0)) == ["j"]


def test_a_limit_keeps_the_most_unstable_and_breaks_ties_by_id(tmp_path: Path) -> None:
    rows = [sample("b", 5, 2.0), sample("c", 5, 3.0), sample("a", 5, 2.0), sample("d", 5, 1.0)]
    run = write_run(tmp_path, rows)
    assert ids(run, values(1, 10, 0, limit=1)) == ["c"]
    assert ids(run, values(1, 10, 0, limit=2)) == ["a", "c"]
    assert ids(run, values(1, 10, 0, limit=99)) == ["a", "b", "c", "d"]


def random_order(names: str, seed: int) -> list[str]:
    return sorted(names, key=lambda name: hashlib.md5(f"{seed}:{name}".encode()).hexdigest())


def test_random_is_the_documented_hash_and_passes_over_the_unscored(ladder: Run) -> None:
    for seed in (0, 1):
        expected = sorted(random_order("abcdefghij", seed)[:4])
        assert choose(ladder, at_random(4, seed=seed)).chosen.to_pylist() == expected
    assert random_order("abcdefghij", 0)[:4] != random_order("abcdefghij", 1)[:4]


def test_a_limit_can_be_drawn_at_random_within_the_box(ladder: Run) -> None:
    expected = sorted(random_order("cdef", 3)[:2])
    assert ids(ladder, values(3, 6, 0, limit=2, rank="random"), seed=3) == expected


@pytest.fixture
def strata(tmp_path: Path) -> Run:
    """Explicit samples have low quality, harmless ones high; two have no known kind."""
    rows = [sample(f"e{i}", 1.0 + i / 10, 1.0 + i / 10, risk="explicit") for i in range(4)]
    rows += [sample(f"n{i}", 8.0 + i / 10, 3.0 + i / 10, risk="none") for i in range(8)]
    rows += [sample(f"u{i}", 5.0 + i, 2.0, risk=None) for i in range(2)]
    return write_run(tmp_path / "strata", rows)


def test_quantiles_within_strata_leave_none_out(strata: Run) -> None:
    # Over the pool, half of U is ≤ 3.0, so only harmless samples pass; within each kind, the
    # upper half of each: e1 is the half of e0 … e3, n3 of n0 … n7, and 2.0 of both unknown.
    over_pool = ids(strata, quantiles(0, 1, 0.5))
    assert over_pool == [f"n{i}" for i in range(8)]
    choice = choose(strata, by_box(quantiles(0, 1, 0.5), within="risk"))
    assert [(b.stratum, b.scored, b.box.u_min) for b in choice.boxes] == [
        ("explicit", 4, 1.1),
        ("none", 8, 3.3),
        ("unknown", 2, 2.0),
    ]
    expected = ["e1", "e2", "e3", "n3", "n4", "n5", "n6", "n7", "u0", "u1"]
    assert choice.chosen.to_pylist() == expected


def test_a_limit_within_strata_is_shared_out_in_proportion(strata: Run) -> None:
    # 7 of 14: half of each stratum, the most unstable of it; u0 goes before u1 by its id.
    choice = choose(strata, by_box(values(1, 10, 0, limit=7), within="risk"))
    assert choice.chosen.to_pylist() == ["e2", "e3", "n4", "n5", "n6", "n7", "u0"]
    assert choice.by_stratum == {"explicit": (4, 2), "none": (8, 4), "unknown": (2, 1)}


def test_random_within_strata_keeps_the_mix(strata: Run) -> None:
    chosen = choose(strata, at_random(7, within="risk")).chosen.to_pylist()
    assert sorted(name[0] for name in chosen) == ["e", "e", "n", "n", "n", "n", "u"]


def test_an_empty_box_tells_the_ranges_that_would_help(ladder: Run) -> None:
    with pytest.raises(QiboxError, match=r"Q from 1 to 10 and U from 0 to 4\.5") as caught:
        choose(ladder, by_box(values(9, 10, 3)))
    assert caught.value.exit_status == 1
    assert "the 2 within the band have U up to 0.5: lower the minimum of U" in str(caught.value)
    with pytest.raises(QiboxError, match="none lies within the band: move it"):
        choose(ladder, by_box(values(3.2, 3.4, 0)))


def test_none_with_scores_is_told_apart_from_an_empty_box(tmp_path: Path) -> None:
    run = write_run(tmp_path, [sample("a", None, None)])
    with pytest.raises(QiboxError, match=r"none of the 1 samples of .* has scores"):
        choose(run, by_box(OPEN_BOX))


def test_a_run_that_is_not_scored_to_its_end_is_refused(tmp_path: Path, ladder: Run) -> None:
    bare = write_run(tmp_path / "bare", [sample("a", 5, 2)], scored=False)
    with pytest.raises(UsageError, match="is scored on 0 of its 1 shards: `qibox score`"):
        choose(bare, by_box(OPEN_BOX))
    ladder.storage.remove("scores/shard-00002.parquet")
    with pytest.raises(UsageError, match="is scored on 3 of its 4 shards"):
        choose(ladder, by_box(OPEN_BOX))
    ladder.storage.remove("pool/_index.json")
    with pytest.raises(UsageError, match="is not scored yet"):
        choose(ladder, by_box(OPEN_BOX))


@pytest.mark.parametrize("folder", ["responses", "judgments"])
def test_scores_of_before_failed_answers_were_asked_again_are_refused(
    ladder: Run, folder: str
) -> None:
    """A retry that was killed has mended one file and not yet those that are made of it."""
    choose(ladder, by_box(OPEN_BOX))
    name = ladder.storage.files(folder)[0]
    rows, key = ladder.storage.read_table(name), ladder.storage.table_key(name)
    with ladder.storage.table_writer(name, rows.schema, key, edition="mended") as writer:
        writer.write_table(rows)
    with pytest.raises(UsageError, match=r"scores of 1 shards .*`qibox score out=.* anew"):
        choose(ladder, by_box(OPEN_BOX))


def test_scores_under_another_key_are_not_taken_for_the_runs(ladder: Run) -> None:
    name = "scores/shard-00001.parquet"
    ladder.storage.write_table(name, ladder.storage.read_table(name), "another key")
    with pytest.raises(UsageError, match="3 of its 4 shards"):
        choose(ladder, by_box(OPEN_BOX))


def test_more_at_random_than_there_is_is_refused(ladder: Run) -> None:
    with pytest.raises(
        UsageError, match="11 samples at random are more than there are: 10 samples"
    ):
        choose(ladder, at_random(11))


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (values(8, 4, 0), "band from 8 to 4 is reversed: give the lower edge first"),
        (quantiles(0.8, 0.2, 0), "from quantile 0.8 to 0.2 is reversed"),
        (values(1, 10, 5), "instability of 5 lets nothing through"),
        (values(11, 12, 0), "quality lies between 1 and 10"),
    ],
)
def test_what_no_pool_can_satisfy_is_refused_at_once(box: BoxManifest, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        by_box(box)


def test_a_value_and_a_quantile_that_cross_are_refused(ladder: Run) -> None:
    box = values(9, 10, 0, q_high=Edge(quantile=0.2))
    with pytest.raises(UsageError, match="the band is reversed where 'pool' is the stratum"):
        choose(ladder, by_box(box))


@pytest.mark.parametrize("name", ["../up", "Upper", "a/b", "", "a b", ".hidden"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not a name for a selection"):
        by_box(OPEN_BOX, name=name)


# Few distinct values, so that ties and values on an edge are common.
QUALITIES = st.sampled_from([1.0, 2.5, 2.500001, 5.0, 7.333333, 10.0])
INSTABILITIES = st.sampled_from([0.0, 1.0, 1.000001, 2.345678, 4.5])
SCORES = st.one_of(st.none(), st.tuples(QUALITIES, INSTABILITIES))
POOLS = st.lists(SCORES, min_size=1, max_size=12).filter(any)


def rows_of(pool: list[tuple[float, float] | None]) -> list[Row]:
    return [sample(f"s{i:02d}", *(scores or (None, None))) for i, scores in enumerate(pool)]


def chosen_by(run: Run, box: BoxManifest) -> set[str]:
    try:
        return set(ids(run, box))
    except UsageError:
        raise
    except QiboxError:
        return set()


@settings(max_examples=15, deadline=None)
@given(POOLS, st.tuples(QUALITIES, QUALITIES).map(sorted), INSTABILITIES, st.data())
def test_sql_and_the_box_agree_and_a_tighter_box_selects_a_subset(
    tmp_path_factory: pytest.TempPathFactory,
    pool: list[tuple[float, float] | None],
    band: list[float],
    least: float,
    data: st.DataObject,
) -> None:
    rows = rows_of(pool)
    run = write_run(tmp_path_factory.mktemp("law"), rows, shard_size=12)
    box = Box(q_low=band[0], q_high=band[1], u_min=least)
    held = {r["sample_id"] for r in rows if box.holds(r["quality"], r["instability"])}
    wide = chosen_by(run, values(*band, least))
    assert wide == held
    low = data.draw(QUALITIES.filter(lambda q: q >= band[0]))
    higher = data.draw(INSTABILITIES.filter(lambda u: u >= least))
    if low <= band[1]:
        assert chosen_by(run, values(low, band[1], higher)) <= wide
