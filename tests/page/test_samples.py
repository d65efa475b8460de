from pathlib import Path

import pytest

import qibox
from qibox.box import Box
from qibox.page.boxes import Visit, axes, boxed, histograms
from qibox.page.cells import GALLERY, PER_PAGE, Place, one, where
from qibox.page.context import Context, make_context
from qibox.page.samples import Filter
from tests.commands import qibox as run_qibox
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
    assert [(r.value, r.before, r.after) for r in mix if r.dimension == "risk"] == risks
    assert context.samples.matching(box) == wanted
    counts = context.samples.histograms(box)
    quality = counts[counts["measure"] == "quality"]
    assert (quality["pool"].sum(), quality["inside"].sum()) == (10, wanted)


def test_samples_come_in_order_filtered_and_with_all_their_answers(context: Context) -> None:
    box = Box(1, 10, 0)
    found = context.samples.ids(box, "most unstable", Filter(risk="explicit"), 2)
    assert [i for i, _ in found] == ["s9", "s6"]
    one = Filter(category="fire", words="in S3")
    assert [i for i, _ in context.samples.ids(box, "by id", one, 9)] == ["s3"]
    assert context.samples.matching(box, one) == 1
    assert context.samples.matching(box, Filter(category="flood")) == 0
    # Of each kind the most unstable first, in turn: explicit are s0, s3, s6, s9.
    assert [i for i, _ in context.samples.dozen(box, 4)] == ["s9", "s8", "s6", "s7"]
    first, second = context.samples.read(found)
    assert (first.row["sample_id"], second.row["sample_id"]) == ("s9", "s6")
    assert len(first.answers) == len(MODELS) * K
    assert first.image is not None
    # The first model's answers are safe, the second's unsafe, and its last one failed.
    assert context.samples.verdicts(found) == {"s9": (1, 3), "s6": (1, 3)}
    assert context.samples.read(found, answers=False)[1].answers == ()
    with qibox.open(context.name) as opened:
        assert first.answers == opened.sample("s9").answers


def test_the_box_starts_as_the_selections_unless_that_has_several(context: Context) -> None:
    assert context.first_box() == Box(1, 10, 2)  # of U from 0 to 4.5 in steps of a half, the upper
    assert run_qibox("select", context.name, "--q-band", 4, 8, "--u-min", 1.5).status == 0
    assert context.first_box() == Box(4, 8, 1.5)
    again = ("select", context.name, "--within", "risk", "--overwrite")
    assert run_qibox(*again, "--q-band-quantile", 0.1, 0.9, "--u-min-quantile", 0.2).status == 0
    assert context.first_box() == Box(1, 10, 2)


def test_the_density_is_coloured_by_what_samples_are(context: Context) -> None:
    risks = context.samples.coloured("kind of risk")
    assert risks["samples"].sum() == 10
    assert sorted(risks["value"].unique()) == ["explicit", "none"]
    safe = context.samples.coloured("safe answers (share, 0 to 1)")
    assert set(safe["value"]) == {0.5}
    for name in context.samples.colourings():
        assert axes(context, name).get_xlim() == (1, 10)


def test_of_two_values_as_common_the_first_by_name_is_a_bins(tmp_path: Path) -> None:
    rows = [sample(f"s{i}", 5, 2, category=c) for i, c in enumerate("bbaac")]
    write_run(tmp_path / "run", rows)
    (row,) = make_context(str(tmp_path / "run")).samples.coloured("category").to_dict("records")
    assert (row["samples"], row["value"]) == (5, "a")


def test_an_emptied_field_gets_its_edge_back_and_a_touch_moves_nothing() -> None:
    boxes: list[Box] = []
    first = Box(4.123456, 8, 1)
    visit = Visit(first, boxes.append, lambda _: None, lambda _: None)
    visit.typed("q_low", None)
    assert boxes == [first]
    visit.dragged(4.123456, 8, 1, 4.5)
    assert boxes == [first]
    visit.typed("u_min", 2)
    assert boxes[1:] == [Box(4.123456, 8, 2)]
    visit.dragged(4.123456, 8, 3, 4.5)
    assert boxes[2:] == [Box(4.1235, 8, 3)]


def test_histograms_are_a_picture(context: Context) -> None:
    assert "src='data:image/png" in histograms(context, Box(4, 8, 1.5))


def test_edges_that_a_hand_draws_are_made_a_box() -> None:
    assert boxed(8.00001, 0.5, -1) == Box(1, 8, 0)
    assert boxed(4, 8, 9) == Box(4, 8, 4.5)


@pytest.mark.parametrize(
    ("page", "matching", "start"),
    [(0, 0, 0), (1, PER_PAGE, 0), (1, PER_PAGE + 1, PER_PAGE), (8, 2 * PER_PAGE, PER_PAGE)],
)
def test_a_page_beyond_the_last_is_the_last(page: int, matching: int, start: int) -> None:
    assert Place(False, page).rows(matching) == (PER_PAGE, start)


def test_from_a_sample_one_goes_on_and_back_to_the_page_that_has_it() -> None:
    assert one(13).rows(14) == (1, 13)
    back, on, all_ = (to for _, _, to in one(13).steps(14))
    assert (back, on, all_) == (one(12), one(13), Place(False, 13 // PER_PAGE))
    assert [key for _, key, _ in one(0).steps(1)] == ["ArrowLeft", "ArrowRight", "Escape"]
    assert [to.number for _, _, to in GALLERY.steps(PER_PAGE * 2)] == [0, 1]


def test_where_one_is_is_said_in_words() -> None:
    assert where(0, 0, 0) == "no sample of the box matches"
    assert where(12, 12, 1024) == "13 to 24 of 1,024 samples in the box"
    assert where(4, 1, 9) == "5 of 9 samples in the box"
