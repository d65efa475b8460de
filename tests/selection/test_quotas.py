"""Quotas over strata, by hand: who wants, has and gives how many."""

from hashlib import md5
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from qibox.errors import QiboxError, UsageError
from qibox.manifests.box import Edge
from qibox.run.directory import Run
from qibox.selection.choose import Choice, choose
from qibox.selection.frame import Frame, make_frame
from qibox.selection.quotas import QuotaRow, apportion, shortfalls
from qibox.selection.request import OPEN_BOX, at_random, by_box
from qibox.selection.write import write_selection, written_already
from tests.runs import sample, write_run

KINDS = "risk: implicit=50% explicit=25% none=25%"


def rows(frame: Frame, cells: dict[tuple[str, ...], tuple[int, int]], size: int) -> list[list[int]]:
    """Wanted and chosen of each stratum, by its values."""
    return [[row.wanted, row.chosen] for row in apportion(cells, frame, size)]


def test_each_rule_by_hand() -> None:
    cells = {("a",): (900, 900), ("b",): (400, 400), ("c",): (100, 100)}
    # Of 12: 900:400:100 is 7.71, 3.43, 0.86; 30:20:10 is 6, 4, 2.
    assert rows(make_frame("risk"), cells, 12) == [[8, 8], [3, 3], [1, 1]]
    assert rows(make_frame("risk", ["sqrt"]), cells, 12) == [[6, 6], [4, 4], [2, 2]]
    assert rows(make_frame("risk", ["equal"]), cells, 13) == [[5, 5], [4, 4], [4, 4]]
    shares = make_frame("risk", ["risk: c=75% a=25%"])
    assert rows(shares, cells, 12) == [[3, 3], [0, 0], [9, 9]]


def test_rules_count_the_pool_and_not_who_passed_the_box() -> None:
    cells = {("a",): (90, 20), ("b",): (10, 9)}
    assert rows(make_frame("risk"), cells, 10) == [[9, 9], [1, 1]]


def test_inner_columns_divide_what_the_outer_ones_give() -> None:
    cells = {
        ("explicit", "fire"): (16, 16),
        ("implicit", "fire"): (1, 1),
        ("implicit", "water"): (9, 9),
        ("none", "fire"): (5, 5),
    }
    frame = make_frame("risk,category", [KINDS, "category: sqrt"])
    # implicit 4 of 8: fire and water as 1 to 3.
    assert rows(frame, cells, 8) == [[2, 2], [1, 1], [3, 3], [2, 2]]


def test_what_a_stratum_lacks_comes_first_from_those_beside_it() -> None:
    cells = {
        ("explicit", "fire"): (50, 50),
        ("implicit", "fire"): (9, 0),
        ("implicit", "water"): (9, 9),
        ("none", "fire"): (50, 50),
    }
    frame = make_frame("risk,category", [KINDS, "category: equal"])
    # implicit wants 4 + 4: water has them all.
    assert rows(frame, cells, 16) == [[4, 4], [4, 0], [4, 8], [4, 4]]
    # implicit wants 10 + 10 and has 9: 11 more are divided over explicit and none, 6 and 5.
    assert rows(frame, cells, 40) == [[10, 16], [10, 0], [10, 9], [10, 15]]


def test_a_share_of_what_a_stratum_never_had_is_nobodys_there() -> None:
    cells = {("explicit", "fire"): (9, 9), ("none", "fire"): (9, 9), ("none", "water"): (9, 9)}
    frame = make_frame("risk,category", ["risk: equal", "category: fire=50% water=50%"])
    assert rows(frame, cells, 8) == [[4, 4], [2, 2], [2, 2]]
    frame = make_frame("risk,category", ["risk: equal", "category: water=100%"])
    assert rows(frame, cells, 8) == [[0, 0], [0, 0], [8, 8]]


def test_quotas_that_never_meet_are_refused() -> None:
    cells = {("explicit", "fire"): (9, 9), ("none", "water"): (9, 9)}
    frame = make_frame("risk,category", ["risk: none=100%", "category: fire=100%"])
    with pytest.raises(UsageError, match="no sample of the pool lies in a stratum with a quota"):
        apportion(cells, frame, 3)


CELLS = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")),
    st.integers(1, 30).flatmap(lambda pool: st.tuples(st.just(pool), st.integers(0, pool))),
    min_size=1,
)
QUOTAS = st.sampled_from(["proportional", "sqrt", "equal"])


@settings(max_examples=100, deadline=None)
@given(CELLS, QUOTAS, QUOTAS, st.integers(1, 80))
def test_what_is_wanted_comes_to_the_size_and_what_is_chosen_to_it_or_to_all(
    cells: dict[tuple[str, ...], tuple[int, int]], outer: str, inner: str, size: int
) -> None:
    frame = make_frame("risk,category", [f"risk: {outer}", f"category: {inner}"])
    found = apportion(cells, frame, size)
    assert [row.values for row in found] == sorted(cells)
    assert sum(row.wanted for row in found) == size
    assert sum(row.chosen for row in found) == min(size, sum(has for _, has in cells.values()))
    for row in found:
        assert row.chosen <= row.available
        assert row.chosen >= min(row.wanted, row.available)


def test_shortfalls_in_words() -> None:
    frame = make_frame("risk")
    enough = [QuotaRow(("none",), 9, 3, 5, 3)]
    assert shortfalls(frame, enough) == []
    short = [QuotaRow(("explicit",), 9, 4, 1, 1), QuotaRow(("none",), 9, 4, 5, 5)]
    assert shortfalls(frame, short) == [
        "1 of 2 strata have fewer samples than their quota (risk 'explicit': 1 of 4): 3 in all, "
        "made up from the others as far as they go",
        "the selection is 6 samples instead of 8: strata with a quota hold no more",
    ]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Ten harmless, six explicit, three implicit samples and one of unknown kind.

    Instability rises with the number in the name; n0 has no scores.
    """
    made = [sample("n0", None, None, risk="none", severity=2)]
    made += [sample(f"n{i}", 5, i / 4, risk="none", severity=2) for i in range(1, 10)]
    made += [sample(f"e{i}", 5, i / 4, risk="explicit") for i in range(6)]
    made += [sample(f"i{i}", 5, i / 4, risk="implicit") for i in range(3)]
    made += [sample("u", 5, 4.5, risk=None)]
    return write_run(tmp_path / "run", made, shard_size=7)


def framed(run: Run, size: int, *quotas: str, least: float = 0.0, stratify: str = "risk") -> Choice:
    box = OPEN_BOX.model_copy(update={"u_min": Edge(value=least), "limit": 2})
    return choose(run, by_box(box, frame=make_frame(stratify, quotas), size=size))


def test_each_stratum_gives_its_first_by_rank_and_the_limit_is_the_size(run: Run) -> None:
    choice = framed(run, 4, KINDS)
    assert choice.chosen.to_pylist() == ["e5", "i1", "i2", "n9"]
    assert choice.request.box is not None
    assert choice.request.box.limit is None
    assert [(row.values, row.pool, row.wanted, row.available) for row in choice.quotas] == [
        (("explicit",), 6, 1, 6),
        (("implicit",), 3, 2, 3),
        (("none",), 10, 1, 9),
        (("unknown",), 1, 0, 1),
    ]


def test_the_box_says_who_is_available(run: Run) -> None:
    # U ≥ 0.5 leaves i2 of three: one of the two that implicit lacks is made up by each neighbour.
    choice = framed(run, 6, KINDS, least=0.5)
    assert choice.chosen.to_pylist() == ["e3", "e4", "e5", "i2", "n8", "n9"]


def test_strata_by_severity_and_unknown_kinds(run: Run) -> None:
    choice = framed(run, 3, "severity: 2=100%", stratify="severity")
    assert choice.chosen.to_pylist() == ["n7", "n8", "n9"]
    assert framed(run, 1, "risk: unknown=100%").chosen.to_pylist() == ["u"]


def test_random_in_the_frame_is_the_documented_hash_within_each_stratum(run: Run) -> None:
    frame = make_frame("risk", [KINDS])
    choice = choose(run, at_random(4, frame=frame, seed=3))
    kinds = ([f"e{i}" for i in range(6)], ["i0", "i1", "i2"], [f"n{i}" for i in range(1, 10)])
    explicit, implicit, none = (
        sorted(names, key=lambda name: md5(f"3:{name}".encode()).hexdigest()) for names in kinds
    )
    assert choice.chosen.to_pylist() == sorted([explicit[0], *implicit[:2], none[0]])


def test_a_value_that_the_pool_does_not_have_names_those_it_has(run: Run) -> None:
    message = "no sample of the pool has the risk 'impicit' .*: it has none, explicit, implicit, un"
    with pytest.raises(UsageError, match=message):
        framed(run, 4, "risk: impicit=100%")


def test_a_frame_without_anyone_available_is_an_empty_selection(run: Run) -> None:
    with pytest.raises(QiboxError, match="none of the 1 samples that could be chosen from"):
        framed(run, 4, KINDS, least=4.5)


def test_a_size_without_a_frame_and_the_reverse_are_refused() -> None:
    with pytest.raises(UsageError, match="a selection of 4 samples has no strata"):
        by_box(OPEN_BOX, size=4)
    with pytest.raises(UsageError, match="quotas are shares of a size"):
        by_box(OPEN_BOX, frame=make_frame("risk"))


def test_lineage_and_card_say_who_wanted_had_and_gave_how_many(run: Run) -> None:
    write_selection(run, framed(run, 6, KINDS, least=0.5))
    lineage = yaml.safe_load(run.storage.read_text("selections/default/selection.yaml"))
    assert (lineage["size"], lineage["stratify"]) == (6, ["risk"])
    assert lineage["quota"] == {"risk": {"implicit": 50.0, "explicit": 25.0, "none": 25.0}}
    assert lineage["strata"][1] == {
        "risk": "implicit",
        "pool": 3,
        "wanted": 3,
        "available": 1,
        "chosen": 1,
    }
    card = run.storage.read_text("selections/default/README.md")
    assert "Asked for: 6 samples, risk: implicit=50% explicit=25% none=25%." in card
    assert "| risk | pool | wanted | available | chosen |" in card
    assert "| implicit | 3 | 3 | 1 | 1 |" in card
    assert "- Short: 1 of 4 strata have fewer samples than their quota" in card


def test_the_same_frame_is_there_already_and_another_order_of_columns_is_not(run: Run) -> None:
    write_selection(run, framed(run, 4, KINDS))
    assert written_already(run, framed(run, 4, KINDS))
    both = framed(run, 4, stratify="risk,severity")
    write_selection(run, both, overwrite=True)
    assert written_already(run, framed(run, 4, "proportional", stratify="risk,severity"))
    with pytest.raises(UsageError, match=r"with another .*stratify"):
        written_already(run, framed(run, 4, stratify="severity,risk"))


def test_a_selection_without_a_frame_has_the_fields_it_always_had(run: Run) -> None:
    write_selection(run, choose(run, by_box(OPEN_BOX)))
    lineage = yaml.safe_load(run.storage.read_text("selections/default/selection.yaml"))
    assert list(lineage) == [
        *("name", "format", "run", "judge", "prompt", "box", "random", "within", "seed", "edges"),
        *("samples", "scored", "passed", "chosen", "chosen_sha256", "scores", "versions"),
    ]
