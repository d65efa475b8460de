import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import qibox as package
from qibox.page import report as reports
from qibox.page.context import Context, make_context
from qibox.page.html import image_tag
from qibox.page.report import LIMIT, SAMPLES, report
from tests.commands import qibox
from tests.runs import MODELS, K, manifest, png, sample, write_run

IMAGE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


class Page(HTMLParser):
    """What a page shows, and what it would ask for."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.shown: list[str] = []
        self.asked: list[str] = []
        self.tags: list[str] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.asked += [v or "" for n, v in attrs if n in ("src", "href", "srcset", "data")]

    def handle_data(self, data: str) -> None:
        self.shown.append(data)


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.chdir(tmp_path)
    rows = [
        sample(f"sample-number-{i}", 1 + i * 0.3, i / 8, risk="none" if i % 3 else "explicit")
        for i in range(30)
    ]
    write_run("runs/mini", rows, made_of=manifest(name="mini"))
    return make_context("runs/mini")


def test_the_report_has_figures_tables_and_a_dozen_samples_and_asks_for_nothing(
    context: Context,
) -> None:
    markup = report(context)
    page = Page(markup)
    assert markup.startswith("<!doctype html>")
    assert markup.count("class='sample'") == SAMPLES
    # The box has all of Q and the upper half of U: samples 14 to 29.
    assert "16</span> of 30 scored samples" in markup
    assert all(a.startswith(("data:image/png;base64,", "#")) for a in page.asked)
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    assert "default-src 'none'" in markup
    words = " ".join(page.shown)
    assert "what is in sample-number-29 ?" in words
    assert words.count("first was right") == SAMPLES * K
    assert len(MODELS) * K * SAMPLES == markup.count("<tr class='answer")
    assert report(context) == markup


def test_redacted_it_holds_no_picture_and_no_text_of_a_sample(context: Context) -> None:
    markup = report(context, redact=True)
    with package.open("runs/mini") as opened:
        texts: set[str] = set()
        for view, columns in (
            ("pool", ("sample_id", "question")),
            ("responses", ("text", "answer", "reason")),
            ("judgments", ("rationale", "reason")),
        ):
            for row in opened.sql(f"select distinct {', '.join(columns)} from {view}").fetchall():
                texts |= {value for value in row if value is not None}
        pictures = [i["bytes"] for (i,) in opened.sql("select image from pool").fetchall()]
    assert len(texts) > 40
    for text in texts:
        assert text not in markup
    assert not re.search(r"\bhm\b", " ".join(Page(markup).shown))  # the models' reasoning
    shown = {base64.b64decode(coded) for coded in IMAGE.findall(markup)}
    drawn = {Image.open(io.BytesIO(each)).size for each in shown}
    assert all(width >= 800 for width, _ in drawn)  # figures alone: pictures are 4 pixels wide
    assert markup.count("data:image") == len(shown) == 3  # box, histograms, models
    for picture in pictures:
        assert base64.b64encode(picture).decode()[:60] not in markup
        assert image_tag(picture, 480) not in markup


def test_what_is_large_is_left_out_until_the_file_is_under_its_limit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = []
    for _ in range(12):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (400, 400, 3), np.uint8)).save(buffer, "PNG")
        noise.append(buffer.getvalue())
    long = "a very long answer " * 1000
    write_run(
        tmp_path / "run",
        [sample(f"s{i}", 5, 2, image=noise[i], says=long) for i in range(12)],
        shard_size=12,
    )
    markup = report(make_context(str(tmp_path / "run")))
    assert len(markup.encode()) <= LIMIT
    assert 1 <= markup.count("class='sample'") < SAMPLES
    assert long not in markup


def test_the_command_writes_it(context: Context) -> None:
    done = qibox("explore", "--export", "report.html", "--redact")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith("wrote report.html (0.")
    written = Path("report.html").read_text()
    assert written.startswith("<!doctype html>")
    assert "sample-number" not in written


def test_a_run_without_scores_has_a_report(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [sample("a", 5, 2, image=png(1))], scored=False)
    markup = report(make_context(str(tmp_path / "run")))
    assert "1 samples, 0 of them scored" in markup
    assert "class='sample'" not in markup


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--redact"], "--redact is of --export"),
        (["--export", "report.pdf"], "--export report.pdf is no page's name"),
        (["--export", "none/report.html"], "--export none/report.html cannot be written"),
    ],
)
def test_each_mistake_has_its_sentence(
    context: Context, arguments: list[str], message: str
) -> None:
    done = qibox("explore", *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_samples_are_cut_not_their_scores() -> None:
    assert reports._cut({"text": "x" * 700, "score": 9.0, "reason": None}) == {
        "text": "x" * 600 + "…",
        "score": 9.0,
        "reason": None,
    }
