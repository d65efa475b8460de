from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import qibox
from qibox.opened import Answer
from qibox.page import html
from qibox.page.asking import asked
from qibox.page.context import make_context
from qibox.selection.mix import mix_rows
from tests.page.hostile import HOSTILE
from tests.runs import sample, write_run


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
    assert {t for t, _ in Seen(html.card(bad, (1, 2), "")).tags} == {"div", "img", "br", "span"}
    mixed = Seen(html.mix_table([*mix_rows("risk", [(words, 1, 1)])]))
    assert {t for t, _ in mixed.tags} == {
        t for t, _ in Seen(html.mix_table([*mix_rows("risk", [("a", 1, 1)])])).tags
    }


def test_a_query_of_the_page_only_reads(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [sample("a", 5, 2)])
    context = make_context(str(tmp_path / "run"))
    assert "<td class='text'>a</td>" in asked(context, "select sample_id from scores")
    for query in (
        "copy (select 1) to 'out.csv'",
        "create table t as select 1",
        "select * from read_text('/etc/passwd')",
        "select 1; select 2",
        "with x as (select 1) insert into pool select * from x",
    ):
        assert "class='warn'" in asked(context, query)
    assert not Path("out.csv").exists()


def test_a_query_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [sample("a", 5, 2)])
    context = make_context(str(tmp_path / "run"))
    endless = (
        "select count(*) from range(10000000) a, range(10000000) b where a.range = -b.range - 1"
    )
    said = asked(context, endless, limit_s=0.3)
    assert "the query was ended after 0.3 s" in said
    assert "<td class='n'>1</td>" in asked(context, "select 1", limit_s=60)


def test_what_a_table_holds_is_shown_short(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [sample("a", 5, 2)])
    context = make_context(str(tmp_path / "run"))
    assert "bytes&gt;" in asked(context, "select image, [image] from pool")
    assert len(asked(context, "select repeat('x', 100000)")) < 10_000
    assert "no row" in asked(context, "select * from pool where false")
