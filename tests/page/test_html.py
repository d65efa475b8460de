from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import qibox
from qibox.opened import Answer
from qibox.page import cells, html
from qibox.page.context import make_context
from tests.runs import sample, write_run

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<iframe src=http://evil.example></iframe>",
    "<a href='http://evil.example'>here</a>",
    "<style>*{display:none}</style>",
    "</td></tr></table><h1>out</h1>",
    "<marimo-button data-label='x'></marimo-button>",
    "<marimo-ui-element object-id='a'>",
    "<!-- comment",
    "]]><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    '" onmouseover="alert(1)',
    "data:image/png;base64,iVBORw0KGgo=",
    "data:text/html,<script>alert(1)</script>",
    "javascript:alert(1)",
    "![picture](http://evil.example/a.png)",
    "$\\href{http://evil.example}{x}$",
    "&lt;script&gt;",
    "\x00\x1b[31m\u202e<b>bold</b>",
]


class Seen(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("words", HOSTILE)
def test_whatever_a_table_holds_is_text(words: str, tmp_path: Path) -> None:
    write_run(tmp_path / "run", [sample("a", 5, 2)])
    with qibox.open(tmp_path / "run") as opened:
        plain = opened.sample("a")
    row = {name: words for name in plain.row if name != "image"} | {"image": plain.row["image"]}
    answers = tuple(
        Answer(
            {**a.response, "model": words, "reasoning": words, "answer": words},
            tuple({**j, "rationale": words} for j in a.judgments),
        )
        for a in plain.answers
    )
    bad = replace(plain, row=row, answers=answers)
    shown, harmless = Seen(html.opened(bad)), Seen(html.opened(plain))
    assert {t for t, _ in shown.tags} <= {t for t, _ in harmless.tags} | {"details", "summary"}
    printable = "".join(c if c.isprintable() else "\ufffd" for c in words)
    assert printable in shown.text
    assert Seen(html.table([words], [[words]])).text == printable * 2
    assert {t for t, _ in Seen(html.card(bad, "")).tags} == {"div", "img", "br", "span"}
    mixed = Seen(html.mix_table([(words, words, 1, 1)]))
    assert {t for t, _ in mixed.tags} == {
        t for t, _ in Seen(html.mix_table([("a", "b", 1, 1)])).tags
    }


def test_a_query_of_the_page_only_reads(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [sample("a", 5, 2)])
    context = make_context(str(tmp_path / "run"))
    assert "<td class='text'>a</td>" in cells.asked(context, "select sample_id from scores")
    for query in (
        "copy (select 1) to 'out.csv'",
        "create table t as select 1",
        "select * from read_text('/etc/passwd')",
        "select 1; select 2",
        "with x as (select 1) insert into pool select * from x",
    ):
        assert "class='warn'" in cells.asked(context, query)
    assert not Path("out.csv").exists()
