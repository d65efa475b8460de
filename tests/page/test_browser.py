"""The page in a real browser, from the address that the command prints to a selection made."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import qibox as package
from tests.browser import CHROMIUM, DEEP, Browser, click
from tests.commands import qibox
from tests.runs import MODELS, K, manifest, sample, write_run

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="NOT TESTED IN A BROWSER: there is no chromium on this machine"
)

INSIDE = "+(document.querySelector('#inside')?.innerText ?? -1)"


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    rows = [sample(f"s{i}", 1 + i / 5, i / 10) for i in range(45)]
    rows[40]["question"] = "<script>document.title = 'taken'</script>"
    write_run("runs/mini", rows, made_of=manifest(name="mini"), shard_size=20)
    command = [sys.executable, "-m", "qibox.cli.main", "explore"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def test_a_box_is_moved_a_sample_opened_and_the_command_selects_what_was_shown(
    address: str,
) -> None:
    with Browser() as browser:
        browser.go(address)
        before = browser.wait(f"{INSIDE} >= 0 && {INSIDE}")
        canvas = f"{DEEP}(e => e.localName == 'canvas')[0]"
        browser.wait(f"{canvas} != null")
        x, y, width = browser.ask(f"(r => [r.x, r.y, r.width])({canvas}.getBoundingClientRect())")
        host = f"{DEEP}(e => e.localName == 'marimo-matplotlib')[0]"
        left, top, right, bottom = browser.ask(f"JSON.parse({host}.dataset.axesPixelBounds)")
        scale = width / browser.ask(f"+{host}.dataset.width")

        def at(quality: float, instability: float) -> tuple[float, float]:
            across, up = (quality - 1) / 9, instability / 4.5
            return (
                x + scale * (left + across * (right - left)),
                y + scale * (bottom - up * (bottom - top)),
            )

        edge = float(browser.ask("document.querySelector('#command').innerText").split()[7])
        browser.drag([at(5, edge), at(5, edge + 0.2), at(5, 3.55)])  # the lower edge
        # Places on the way are shown too: what counts is where the edge was let go.
        released = "+document.querySelector('#command')?.innerText.split(' ')[7] > 3.5"
        browser.wait(released)
        command, inside = browser.ask(f"[document.querySelector('#command').innerText, {INSIDE}]")
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
        browser.wait("document.querySelectorAll('.card img').length > 0")
        assert f"{inside} samples in the box" in browser.ask("document.body.innerText")
        click(browser, "button", "Open")
        answers = "document.querySelectorAll('tr.answer').length"
        assert browser.wait(answers) == len(MODELS) * K
        assert ids[0] in browser.ask("document.body.innerText")
        assert browser.ask("document.querySelector('.qb img').naturalWidth") == 4
        assert browser.ask("document.title") != "taken"
        click(browser, "button", "SQL")
        browser.wait("document.body.innerText.includes('self_instability')")
        click(browser, "button", "Models")
        browser.wait("document.querySelector('img[alt=models]')?.naturalWidth > 0")
        click(browser, "button", "Training")
        browser.wait("document.body.innerText.includes('What training changed')")
        assert qibox(*words[1:]).status == 0
        with package.open("runs/mini") as opened:
            chosen = opened.selection("explored").select("sample_id").fetchall()
        assert {i for (i,) in chosen} == set(ids)
        elsewhere = [
            r for r in browser.requests if not re.match(r"(http://127\.0\.0\.1|data:|blob:)", r)
        ]
        assert elsewhere == []
