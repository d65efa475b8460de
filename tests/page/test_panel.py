import pandas as pd

from qibox.page.panel import conduct_table


def conduct(distance: list[float | None]) -> pd.DataFrame:
    names = ["near", "far", "between"]
    frame = pd.DataFrame({"model": names, "responses": 4, "distance": distance, "score": [5, 6, 7]})
    return frame.assign(unsafe=0.25, reasoned=1.0, cut_off=0.0, failed=[0, 0.5, 0])


def test_the_model_farthest_from_the_panel_is_named_before_the_table() -> None:
    markup = conduct_table(conduct([0.5, 2.25, 1.0]))
    before, _, table = markup.partition("<table>")
    assert "<b>far</b>" in before
    assert "2.25 points" in before
    assert "between, 1.00" in before
    assert "<td class='text'>50.0 %</td>" in table


def test_without_judgments_none_is_named() -> None:
    markup = conduct_table(conduct([None, None, None]))
    assert markup.startswith("<table>")
    assert "nan" not in markup
