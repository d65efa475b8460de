from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from qibox.cli import console
from qibox.cli.main import cli
from qibox.cli.show import picture
from qibox.errors import UsageError
from qibox.run.directory import DEFAULT_RUN, Run
from qibox.selection.choose import choose
from qibox.selection.request import OPEN_BOX, by_box
from qibox.selection.write import write_selection
from tests.runs import png, sample, write_run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    rows = [
        sample("mini-1", 5, 2, risk="implicit", severity=3, image=png(7)),
        sample("mini-2", 4, 3, image=None, question="[red]\x1b[31mhi"),
        sample("mini-3", None, None, image=b"not a picture"),
    ]
    return write_run(DEFAULT_RUN, rows)


def show(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["show", *arguments])


def test_all_that_is_known_of_a_sample_is_shown(run: Run) -> None:
    write_selection(run, choose(run, by_box(OPEN_BOX, name="mine")))
    shown = show("mini-1").stdout
    for part in (
        "mini-1",
        "risk implicit · category fire · severity 3",
        f"picture of 4×4 pixels, {len(png(7))} bytes",
        "what is in mini-1 ?",
        "quality 5.000",
        "instability 2.000",
        "in selection mine",
        "first says 0",
        "9.00",
        "first was right",
        "second says 0",
        "unsafe",
        "second was rash",
        "failed: engine stopped",
        "failed: no response",
    ):
        assert part in shown, part


def test_one_models_answers_alone(run: Run) -> None:
    shown = show(DEFAULT_RUN, "mini-1", "--model", "second").stdout
    assert "second says 0" in shown
    assert "first says" not in shown
    with pytest.raises(UsageError, match=r"no model 'third' in run .*: it has first, second"):
        raise show("mini-1", "--model", "third").exception or AssertionError


def test_text_alone_no_scores_and_damage_are_said(run: Run) -> None:
    text_only = show("mini-2").stdout
    assert "no picture" in text_only
    assert "[red]\\x1b[31mhi" in text_only
    damaged = show("mini-3").stdout
    assert "picture cannot be decoded: " in damaged
    assert "no scores: 0 models judged, 2 needed" in damaged


def test_without_an_id_it_is_the_most_unstable(run: Run) -> None:
    assert show().stdout.startswith("mini-2 ")


def test_the_picture_is_saved_as_it_is(run: Run) -> None:
    assert show("mini-1", "--image", "out.png").exit_code == 0
    assert Path("out.png").read_bytes() == png(7)
    with pytest.raises(UsageError, match="sample mini-2 has no picture to save"):
        raise show("mini-2", "--image", "none.png").exception or AssertionError
    assert not Path("none.png").exists()
    with pytest.raises(UsageError, match=r"--image no/where\.png cannot be written"):
        raise show("mini-1", "--image", "no/where.png").exception or AssertionError


def test_a_colour_terminal_draws_two_pixels_a_character(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(force_terminal=True, color_system="truecolor")
    monkeypatch.setattr(console, "out", terminal)
    drawn = picture(png(7, (4, 4)))
    assert drawn.plain == "▀▀▀▀\n▀▀▀▀"  # 4 × 4 pixels, two rows a line
    assert str(drawn.spans[0].style) == "rgb(7,10,20) on rgb(7,10,20)"
    wide = picture(png(7, (420, 100))).plain.splitlines()
    assert {len(line) for line in wide} == {42}
    assert len(wide) == 5  # 42 columns are a tenth of the width: 10 pixels, two a line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mini-9",), "no sample 'mini-9' in run .*: near ids are mini-1, mini-2, mini-3"),
        (("runs/none", "mini-1"), "no run at runs/none"),
        (("a", "b", "c"), "3 arguments were given"),
    ],
)
def test_errors_are_one_sentence(run: Run, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        raise show(*arguments).exception or AssertionError


def test_nothing_to_show_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(DEFAULT_RUN, [sample("a", 5, 2)], scored=False)
    with pytest.raises(UsageError, match="is not scored yet: name a SAMPLE_ID"):
        raise show().exception or AssertionError
