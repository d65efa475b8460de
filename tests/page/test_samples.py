from pathlib import Path

import pytest

import qibox
from qibox.box import Box
from qibox.page.cells import PER_PAGE, boxed, start_of
from qibox.page.context import Context, make_context
from tests.runs import MODELS, K, sample, write_run


@pytest.fixture
def context(tmp_path: Path) -> Context:
    rows = [
        sample(f"s{i}", 1.0 + i, i / 2, risk="none" if i % 3 else "explicit") for i in range(10)
    ]
    write_run(tmp_path / "run", [*rows, sample("unscored", None, None)])
    return make_context(str(tmp_path / "run"))


@pytest.mark.parametrize("box", [Box(1, 10, 0), Box(4, 8, 1.5), Box(4, 8, 4), Box(1, 1, 0)])
def test_counts_and_mix_are_those_of_sql(context: Context, box: Box) -> None:
    inside = f"quality between {box.q_low} and {box.q_high} and instability >= {box.u_min}"
    with qibox.open(context.name) as opened:
        ((wanted,),) = opened.sql(f"select count(*) from scores where {inside}").fetchall()
        risks = opened.sql(
            f"select risk, count(*), count(*) filter ({inside}) "
            "from pool left join scores using (sample_id) group by all order by 2 desc, 1"
        ).fetchall()
    assert context.samples.count(box) == (wanted, 10)
    mix = context.samples.mix(box)
    assert [row[1:] for row in mix if row[0] == "risk"] == risks
    assert context.samples.matching(box, None, "") == wanted


def test_samples_come_in_order_filtered_and_with_all_their_answers(context: Context) -> None:
    box = Box(1, 10, 0)
    found = context.samples.ids(box, "most unstable", "explicit", "", 2)
    assert [i for i, _ in found] == ["s9", "s6"]
    assert [i for i, _ in context.samples.ids(box, "by id", None, "in S3", 9)] == ["s3"]
    first, second = context.samples.read(found)
    assert (first.row["sample_id"], second.row["sample_id"]) == ("s9", "s6")
    assert len(first.answers) == len(MODELS) * K
    assert first.image is not None
    with qibox.open(context.name) as opened:
        assert first.answers == opened.sample("s9").answers


def test_edges_that_a_hand_draws_are_made_a_box() -> None:
    assert boxed(8.00001, 0.5, -1) == Box(1, 8, 0)
    assert boxed(4, 8, 9) == Box(4, 8, 4.5)


@pytest.mark.parametrize(
    ("page", "matching", "start"),
    [
        (1, 0, 0),
        (None, 5, 0),
        (2, PER_PAGE, 0),
        (2, PER_PAGE + 1, PER_PAGE),
        (9, 2 * PER_PAGE, PER_PAGE),
        (0, 5, 0),
    ],
)
def test_a_page_beyond_the_last_is_the_last(page: int | None, matching: int, start: int) -> None:
    assert start_of(page, matching) == start
