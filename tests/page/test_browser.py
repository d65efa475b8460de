"""The page in a real browser, from the address that the command prints to a selection made."""

import re
import shlex
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import qibox as package
from tests.browser import CHROMIUM, Browser, click
from tests.commands import qibox
from tests.page.driving import COMMAND, INSIDE, U_MIN, Plot, serving
from tests.page.hostile import HOSTILE
from tests.runs import manifest, sample, write_run

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="NOT TESTED IN A BROWSER: there is no chromium on this machine"
)

SEVEN = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
TEXT = "document.body.innerText"
WHERE = "document.querySelector('#where')?.innerText"
CARDS = "document.querySelectorAll('.card img').length"
# Whatever would have come of a text that was taken for markup.
TAKEN = (
    "document.querySelectorAll('.qb :is(script, iframe, svg, a, h1, style), "
    ".qb marimo-button[data-label=x], "
    ".qb img[src^=x], .qb [onerror], .qb [onload], .qb [onmouseover]').length"
)


def status(address: str) -> int:
    """What a visit without a browser is answered."""
    try:
        with urllib.request.urlopen(address) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_box_is_moved_a_sample_opened_and_the_command_selects_what_was_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [sample(f"s{i}", 1 + i / 5, i / 10) for i in range(45)]
    write_run(
        "runs/mini", rows, made_of=manifest(models=SEVEN, samples=5, name="mini"), shard_size=45
    )
    with serving("runs/mini") as served, Browser() as browser:
        browser.go(served.address)
        before = browser.wait(f"{INSIDE} >= 0 && {INSIDE}")
        plot = Plot(browser)
        edge = float(browser.ask(U_MIN))
        browser.drag([plot.at(5, edge), plot.at(5, edge + 0.2), plot.at(5, 3.55)])
        # Places on the way are shown too: what counts is where the edge was let go.
        browser.wait(f"{U_MIN} > 3.5")
        command, inside = browser.ask(f"[{COMMAND}, {INSIDE}]")
        assert inside < before
        words = shlex.split(command)
        low, high, least = words[4], words[5], words[7]
        with package.open("runs/mini") as opened:
            query = (
                f"select sample_id from scores where quality between {low} and {high} "
                f"and instability >= {least} order by instability desc"
            )
            ids = [i for (i,) in opened.sql(query).fetchall()]
        assert len(ids) == inside

        click(browser, "button", "Samples")
        assert browser.wait(CARDS) == min(12, inside)
        assert browser.ask(WHERE) == f"1 to {inside} of {inside} samples in the box"
        click(browser, "button", "Open")
        assert browser.wait("document.querySelectorAll('tr.answer').length") == 35
        assert ids[0] in browser.ask(TEXT)
        assert browser.ask("document.querySelector('.shown img').naturalWidth") == 4
        for key, shown in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2)):
            browser.press(key)
            browser.wait(f"{WHERE} == '{shown} of {inside} samples in the box'")
        assert f"what is in {ids[1]} ?" in browser.ask(TEXT)
        browser.press("Escape")
        browser.wait(CARDS)

        click(browser, "button", "Models")
        browser.wait("document.querySelector('img[alt=models]')?.naturalWidth > 0")
        click(browser, "button", "Training")
        browser.wait(f"{TEXT}.includes('What training changed')")
        assert qibox(*words[1:]).status == 0
        with package.open("runs/mini") as opened:
            chosen = opened.selection("explored").select("sample_id").fetchall()
        assert {i for (i,) in chosen} == set(ids)
        elsewhere = [
            r for r in browser.requests if not re.match(r"(http://127\.0\.0\.1|data:|blob:)", r)
        ]
        assert elsewhere == []

        page, _, token = served.address.partition("?")
        assert status(page) == status(f"{page}?access_token=x") == 403
        assert status(f"{page}api/files/list?{token}") == 404
    assert served.process.returncode == 128 + signal.SIGTERM  # though a visit was open


def test_twenty_hostile_strings_are_text_and_a_report_opens_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        sample(f"s{i:02}", 5, 2, question=words, category=words, source=words, says=words)
        for i, words in enumerate(HOSTILE)
    ]
    write_run("runs/mini", rows, made_of=manifest(name="mini"), shard_size=20)
    texts = ["".join(c if c.isprintable() else "\ufffd" for c in words) for words in HOSTILE]
    with serving("runs/mini") as served, Browser() as browser:
        browser.go(served.address)
        browser.wait(f"{INSIDE} == 20")
        browser.wait("document.querySelector('img[alt=scores]')?.naturalWidth > 0")
        assert browser.ask(TAKEN) == 0
        click(browser, "button", "Samples")
        browser.wait(CARDS)
        assert browser.ask(TAKEN) == 0
        missing = set(texts)
        click(browser, "button", "Open")
        for place in range(1, len(texts) + 1):
            browser.wait(f"{WHERE} == '{place} of 20 samples in the box'")
            browser.wait("document.querySelectorAll('tr.answer').length")
            seen = browser.ask("document.querySelector('#answers').textContent")
            missing -= {text for text in missing if text in seen}
            assert browser.ask(TAKEN) == 0
            browser.press("ArrowRight")
        assert missing == set()
        assert browser.ask("document.title") == "qibox explore"

        assert qibox("explore", "--export", "report.html").status == 0
        report = Path("report.html").absolute().as_uri()
        browser.go(report)
        browser.wait("document.readyState == 'complete'")
        browser.wait("document.querySelectorAll('details.sample').length == 12")
        browser.wait("[...document.images].every(i => i.naturalWidth)")
        assert browser.ask(TAKEN.replace(", style)", ")")) == 0
        asked = browser.requests[browser.requests.index(report) + 1 :]
        own = served.address.partition("?")[0]  # of the page before, which still says goodbye
        assert {r[:5] for r in asked if not r.startswith(own)} == {"data:"}
