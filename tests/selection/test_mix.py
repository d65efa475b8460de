from pathlib import Path

from qibox.manifests.box import Edge
from qibox.selection.choose import choose
from qibox.selection.mix import MixRow, mix_rows, starved
from qibox.selection.request import OPEN_BOX, by_box
from tests.runs import sample, write_run


def test_shares_are_of_the_pool_and_of_the_selection() -> None:
    # Pool of 10, selection of 4.
    rows = list(mix_rows("risk", [("none", 6, 3), ("explicit", 3, 1), ("unknown", 1, 0)]))
    assert [(r.share_before, r.share_after) for r in rows] == [(0.6, 0.75), (0.3, 0.25), (0.1, 0.0)]


def test_a_stratum_is_starved_below_a_fifth_of_its_share() -> None:
    # 500 of 1,000 is a share of 0.5, a fifth of which is 0.1: 10 of 100 is just enough.
    def of(after: int) -> list[MixRow]:
        return list(mix_rows("category", [("fire", 500, after), ("water", 500, 100 - after)]))

    assert [row.starved for row in of(10)] == [False, False]
    assert [row.starved for row in of(9)] == [True, False]
    assert starved(of(9)) == ["category 'fire' falls from 50.0% to 9.0% (9 samples)"]
    assert starved(of(0)) == ["category 'fire' falls to nothing (was 500, 50.0%)"]


def test_the_mix_counts_every_sample_of_the_pool_and_names_the_unknown(tmp_path: Path) -> None:
    rows = [
        sample("a", 5, 3, risk="none", category="fire", severity=1),
        sample("b", 5, 1, risk="explicit", category="water", severity=3),
        sample("c", None, None, risk="none", category=None, severity=None),
        sample("d", 6, 3, risk=None, category="fire", severity=1),
    ]
    box = OPEN_BOX.model_copy(update={"u_min": Edge(value=2)})
    mix = choose(write_run(tmp_path, rows), by_box(box)).mix
    assert [(r.dimension, r.value, r.before, r.after) for r in mix] == [
        ("risk", "none", 2, 1),
        ("risk", "explicit", 1, 0),
        ("risk", "unknown", 1, 1),
        ("category", "fire", 2, 2),
        ("category", "unknown", 1, 0),
        ("category", "water", 1, 0),
        ("severity", "1", 2, 2),
        ("severity", "3", 1, 0),
        ("severity", "unknown", 1, 0),
    ]
    assert starved(mix)[0] == "risk 'explicit' falls to nothing (was 1, 25.0%)"
