import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from qibox.box import Box
from qibox.errors import UsageError
from qibox.evaluation import measures
from qibox.figures.box import box_figure
from qibox.figures.data import BINS
from qibox.figures.density import OTHERS, coloured_figure, density_figure
from qibox.figures.models import models_figure
from qibox.figures.rates import SCORES, SHARES, rates_figure
from qibox.figures.scores import scores_figure
from qibox.figures.style import form_of, image, label
from qibox.figures.training import training_figure
from qibox.tables import RATES

HOSTILE = r"$\frac{x$ <script> & 漢字 \x00" + "\x00\n" + "x" * 100


def density() -> pd.DataFrame:
    return pd.DataFrame({"q": [0, 10, BINS - 1], "u": [0, 20, BINS - 1], "samples": [1, 50, 3]})


def mix(values: int = 2) -> pd.DataFrame:
    rows = [
        {"dimension": "risk", "value": "none", "before": 30, "after": 5},
        {"dimension": "risk", "value": "explicit", "before": 10, "after": 15},
    ]
    rows += [
        {"dimension": "category", "value": f"c{i}", "before": 40 - i, "after": i}
        for i in range(values)
    ]
    return pd.DataFrame(rows)


def steps(count: int) -> pd.DataFrame:
    at = np.arange(1, count + 1)
    return pd.DataFrame({"step": at, "reward": at / 10, "unsafe_drafts": 1 / at, "kl": at * 0.1})


def rates() -> pd.DataFrame:
    shared = {"pool": "held", "judge": "oracle", "by": "all", "among": None}
    values = [("start-p", "start", "safety", 0.5), ("p", "trained", "safety", 0.9)]
    values += [("start-p", "start", "score", 6.0), ("p", "trained", "score", 8.0)]
    rows = [
        {**shared, "policy": p, "stage": s, "measure": m, "value": v, "low": v - 0.1, "high": v}
        for p, s, m, v in values
    ]
    return pd.DataFrame(rows, columns=RATES.names)


def models() -> tuple[pd.DataFrame, pd.DataFrame]:
    table = pd.DataFrame(
        {"model": ["a", "a", "b"], "category": ["fire", "fraud", "fire"], "unsafe": [0.25, 0, 1.0]}
    )
    conduct = pd.DataFrame({"model": ["a", "b"], "reasoned": [1.0, 0.5], "cut_off": [0.0, 0.1]})
    conduct = conduct.assign(failed=[0.0, 0.2], distance=[0.5, 2.0])
    return table.assign(judged=4), conduct


def counts() -> pd.DataFrame:
    names = ["quality", "quality", "instability"]
    return pd.DataFrame({"measure": names, "bin": [0, 44, 7], "pool": [9, 1, 4], "inside": 1})


def commonest(values: int) -> pd.DataFrame:
    """The i-th value has i + 1 samples in its only bin."""
    at = np.arange(values)
    names = [f"v{i}" for i in at]
    return pd.DataFrame({"q": at, "u": at + 1, "samples": at + 1, "value": names})


def means() -> pd.DataFrame:
    return pd.DataFrame({"q": [3, 4], "u": [2, 2], "samples": [1, 9], "value": [0.25, 0.75]})


DRAWN: dict[str, Callable[[], Figure]] = {
    "box": lambda: box_figure(density(), [("pool", Box(4, 8, 1.5))], mix()),
    "density": lambda: density_figure(density()),
    "by kind": lambda: coloured_figure(commonest(2), "kind"),
    "by share": lambda: coloured_figure(means(), "share (0 to 1)"),
    "scores": lambda: scores_figure(counts()),
    "models": lambda: models_figure(*models()),
    "training": lambda: training_figure({"one": steps(40), "two": steps(5)}),
    "evaluation": lambda: rates_figure(rates()),
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_input_gives_the_same_bytes(name: str, form: str) -> None:
    first, second = image(DRAWN[name](), form), image(DRAWN[name](), form)
    assert first == second
    if form == "png":
        Image.open(io.BytesIO(first)).verify()
    else:
        assert b"<dc:date>" not in first


@pytest.mark.parametrize("name", DRAWN)
def test_every_axis_that_has_numbers_has_a_name(name: str) -> None:
    figure = DRAWN[name]()
    figure.draw_without_rendering()
    for axes in figure.axes:
        shared = axes.get_shared_x_axes().get_siblings(axes)
        assert any(each.get_xlabel() for each in shared) or axes.get_ylabel(), axes
        named = axes.get_shared_y_axes().get_siblings(axes)
        assert any(each.get_ylabel() or each.get_yticklabels() for each in named), axes


def test_a_persons_own_settings_change_nothing() -> None:
    import matplotlib

    before = image(DRAWN["box"](), "png")
    with matplotlib.rc_context({"font.size": 20.0, "axes.facecolor": "red"}):
        assert image(DRAWN["box"](), "png") == before
        assert matplotlib.rcParams["font.size"] == 20.0


def test_the_box_figure_holds_the_density_the_box_and_the_mix() -> None:
    axes, _, risk, category = DRAWN["box"]().axes
    mesh: Any = axes.collections[0]
    grid = np.ma.filled(mesh.get_array(), 0).reshape(BINS, BINS)
    assert grid[20, 10] == 50  # U's bin, Q's bin
    assert np.nansum(grid) == 54
    (box,) = axes.patches
    assert box.get_bbox().extents.tolist() == [4, 1.5, 8, 4.5]  # type: ignore[attr-defined]
    # 30 and 10 of 40 before, 5 and 15 of 20 after.
    widths = [bar.get_width() for bar in risk.patches]  # type: ignore[attr-defined]
    assert widths == [75, 25, 25, 75]
    assert [text.get_text() for text in risk.get_yticklabels()] == ["none", "explicit"]
    assert category.get_ylabel() == "category"


def test_a_bin_has_its_mean_as_its_colour() -> None:
    mesh: Any = DRAWN["by share"]().axes[0].collections[0]
    grid = np.ma.filled(mesh.get_array(), np.nan).reshape(BINS, BINS)
    assert grid[2, 3:5].tolist() == [0.25, 0.75]  # U's bin, Q's bins
    assert np.isnan(grid).sum() == BINS * BINS - 2


def test_a_bin_has_its_commonest_value_as_its_mark_and_rare_ones_share_the_last() -> None:
    figure = coloured_figure(commonest(9), "kind")
    marks = {str(each.get_label()): each for each in figure.axes[0].collections}
    # v8 has most samples; v0, v1 and v2 have fewest.
    assert list(marks) == ["v8", "v7", "v6", "v5", "v4", "v3", f"{OTHERS} (3)"]
    # Bin 8 of Q is from 2.6 to 2.8, bin 9 of U from 0.9 to 1.
    assert np.asarray(marks["v8"].get_offsets()).tolist() == pytest.approx(np.array([[2.7, 0.95]]))
    forms = {each.get_paths()[0].vertices.tobytes() for each in marks.values()}  # type: ignore[attr-defined]
    assert len(forms) == 7
    assert len(figure.legends[0].get_texts()) == 7


def test_more_values_than_fit_are_counted_together() -> None:
    figure = box_figure(density(), [], mix(values=30))
    texts = [text.get_text() for axes in figure.axes for text in axes.get_yticklabels()]
    assert f"{OTHERS} (19)" in texts
    assert "c10" in texts
    assert "c11" not in texts


def test_curves_are_the_measurements_smoothed_where_there_are_many() -> None:
    reward = DRAWN["training"]().axes[0]
    faint, smooth, short = reward.lines
    assert np.asarray(faint.get_ydata()).tolist() == steps(40)["reward"].tolist()
    assert np.asarray(smooth.get_ydata())[-1] == pytest.approx(np.arange(31, 41).mean() / 10)
    assert np.asarray(short.get_ydata()).tolist() == steps(5)["reward"].tolist()
    assert short.get_linestyle() != smooth.get_linestyle()  # to be told in grey


def test_shares_are_in_percent_and_what_was_not_measured_is_not_drawn() -> None:
    _, unsafe, corrected, *_ = training_figure({"one": steps(4)}).axes
    assert np.asarray(unsafe.lines[0].get_ydata()).tolist() == pytest.approx([100, 50, 100 / 3, 25])
    assert not corrected.lines


def test_an_alarm_is_a_line_through_all_panels_and_named_once() -> None:
    raised = steps(4).assign(alarm=[None, None, "template", None])
    figure = training_figure({"one": raised})
    for axes in figure.axes:
        assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [3]
    assert [each.get_text() for each in figure.axes[0].texts] == ["template"]


def test_the_measures_are_those_of_an_evaluation() -> None:
    assert SHARES == measures.SHARES
    assert (*SHARES, *SCORES) == measures.MEASURES


def test_rates_are_points_with_their_intervals() -> None:
    shares, scores = DRAWN["evaluation"]().axes
    found = {each.get_label(): each for each in shares.containers}
    assert set(found) == {"start-p", "p"}
    line, _, (bar,) = found["p"].lines  # type: ignore[attr-defined]
    assert line.get_xdata().tolist() == [90]
    assert bar.get_segments()[0][:, 0].tolist() == pytest.approx([80, 90])
    start = found["start-p"].lines[0]  # type: ignore[attr-defined]
    assert start.get_marker() != line.get_marker()
    assert [t.get_text() for t in scores.get_yticklabels()] == ["score, all"]


def test_the_heat_map_has_each_models_share_and_a_hole_where_there_is_none() -> None:
    heat, *_ = DRAWN["models"]().axes
    cells: Any = heat.images[0].get_array()
    assert cells[0].tolist() == [25, 0]
    assert cells[1, 0] == 100
    assert np.ma.getmaskarray(cells)[1, 1] or np.isnan(cells[1, 1])
    assert [t.get_text() for t in heat.get_xticklabels()] == ["fire", "fraud"]


def test_how_models_answered_is_read_off_their_bars_and_the_outlier_is_hatched() -> None:
    _, away, reasoned, *_ = (a for a in DRAWN["models"]().axes if a.get_label() != "<colorbar>")
    assert [bar.get_width() for bar in away.patches] == [0.5, 2.0]  # type: ignore[attr-defined]
    assert [bool(bar.get_hatch()) for bar in away.patches] == [False, True]
    assert [bar.get_width() for bar in reasoned.patches] == [100, 50]  # type: ignore[attr-defined]


def test_histograms_hold_pool_and_box() -> None:
    quality, instability, *_ = DRAWN["scores"]().axes
    pool, inside = quality.patches
    assert pool.get_data().values.tolist()[0] == 9  # type: ignore[attr-defined]
    assert pool.get_data().values.sum() == 10  # type: ignore[attr-defined]
    assert inside.get_data().values.sum() == 2  # type: ignore[attr-defined]
    assert instability.patches[0].get_data().values[7] == 4  # type: ignore[attr-defined]


def test_names_out_of_tables_are_text() -> None:
    frame = mix().assign(value=HOSTILE)
    figure = box_figure(density(), [(HOSTILE, Box(4, 8, 1)), ("b", Box(1, 2, 0))], frame, HOSTILE)
    assert b"<script" not in image(figure, "svg")
    assert len(label(HOSTILE)) == 40
    assert "\n" not in label(HOSTILE)
    assert "\x00" not in label(HOSTILE)


def test_where_there_is_nothing_the_figure_says_so() -> None:
    for figure in (
        training_figure({"none": pd.DataFrame()}),
        rates_figure(rates().iloc[:0]),
        models_figure(*(frame.iloc[:0] for frame in models())),
    ):
        assert "yet" in figure.texts[0].get_text()
    empty = box_figure(density().iloc[:0], [], mix().iloc[:0])
    assert image(empty, "png")


def test_a_picture_is_png_or_svg() -> None:
    assert form_of("a/B.SVG") == "svg"
    with pytest.raises(UsageError, match=r"box\.pdf is no picture's name: end it in"):
        form_of("box.pdf")
