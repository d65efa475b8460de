"""What the page shows of tables, as HTML: every value goes through :mod:`qibox.opened.html`."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from qibox.opened import Sample
from qibox.opened.html import STYLE, drawn, image_tag, opened, table, text
from qibox.selection.mix import MixRow, starved

__all__ = ["card", "drawn", "image_tag", "mix_table", "opened", "page", "table", "text"]


# A tab's cells below one another, those marked left and right beside one another.
LAYOUT: Final = """<style>
div:has(> .marimo-cell){display:grid;grid-template-columns:minmax(0,720px) minmax(0,1fr);
 column-gap:28px;align-items:start}
.marimo-cell{grid-column:1/-1}.marimo-cell:empty{display:none}
.marimo-cell:has(.qb.left),.marimo-cell:has(marimo-matplotlib){grid-column:1}
.marimo-cell:has(.qb.right){grid-column:2;grid-row:2/span 9}
div.fixed:has(> button[id^=radix]){display:none}
@media(max-width:1100px){.marimo-cell:has(.qb){grid-column:1/-1!important;grid-row:auto!important}}
.qb .wide{overflow-x:auto}.qb .wide td{min-width:70px;max-width:420px}
.qb .mix td,.qb .mix th{padding:1px 7px}.qb .mix .bar{height:6px;vertical-align:top}
.qb .bars{line-height:8px}.qb ul{margin:2px 0 8px 18px;list-style:disc}.qb p{margin:6px 0}
.qb .h{font-size:17px;font-weight:600;margin-top:16px}.qb #answers{width:100%}
.qb .w{white-space:nowrap}.qb .cmd{overflow-x:auto}
.qb .steps{display:flex;gap:10px;align-items:center;margin-bottom:10px}
.qb .gallery{display:flex;flex-wrap:wrap;gap:10px}
</style>"""


STRATA: Final = 15  # of a dimension, shown
COUNTED: Final = ("before", "after", "share_before", "share_after")


def page(*parts: str, kind: str = "") -> str:
    """Parts under the page's style; ``kind`` is left, right or neither."""
    return f"{STYLE}<div class='qb {kind}'>{''.join(parts)}</div>"


def mix_table(mix: Sequence[MixRow]) -> str:
    """Strata in the pool and in the box, as numbers and bars; starved ones are named above."""
    rows, last = [], ""
    some = any(row.after for row in mix)
    for row in _largest(mix):
        bars = "".join(
            f"<span class='bar {kind}' style='width:{110 * share:.0f}px'></span><br>"
            for kind, share in (("pool", row.share_before), ("", row.share_after))
        )
        note = " class='warn'" if some and row.starved else ""
        rows.append(
            f"<tr{note}><th>{text(row.dimension) if row.dimension != last else ''}</th>"
            f"<td>{text(row.value)}</td><td class='n'>{row.before:,}</td>"
            f"<td class='n'>{row.share_before:.1%}</td><td class='n'>{row.after:,}</td>"
            f"<td class='n'>{row.share_after:.1%}</td><td class='bars'>{bars}</td></tr>"
        )
        last = row.dimension
    warnings = "".join(f"<li>{text(sentence)}</li>" for sentence in starved(mix) if some)
    named = f"<p class='warn'>Starved:</p><ul class='warn'>{warnings}</ul>" if warnings else ""
    return (
        f"{named}<table class='mix'><thead><tr><th></th><th></th><th class='n' colspan=2>pool</th>"
        "<th class='n' colspan=2>box</th><th></th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _largest(mix: Sequence[MixRow]) -> Iterator[MixRow]:
    """The first ``STRATA`` of each dimension, the rest of it as one."""
    for dimension, group in groupby(mix, key=lambda row: row.dimension):
        rows = list(group)
        cut = len(rows) if len(rows) <= STRATA else STRATA - 1
        yield from rows[:cut]
        if rest := rows[cut:]:
            sums = [sum(getattr(row, name) for row in rest) for name in COUNTED]
            yield MixRow(dimension, f"all others ({len(rest)})", *sums)


def card(sample: Sample, verdicts: tuple[int, int], button: str) -> str:
    """A sample in the gallery, with how many of how many answers are unsafe.

    ``button`` is markup of our own.
    """
    scores = sample.scores or {}
    unsafe, judged = verdicts
    return (
        f"<div class='card'>{image_tag(sample.image, 206)}"
        f"<div class='q'>{text(sample.row['question'])}</div>"
        f"<div>Q {text(scores.get('quality'))} · U {text(scores.get('instability'))}<br>"
        f"<span class='{'unsafe' if unsafe else 'safe'}'>{unsafe} of {judged} unsafe</span>"
        f"</div>{button}</div>"
    )


def heading(words: str) -> str:
    """What a part of a tab is about; no h3, of which marimo would make an outline."""
    return page(f"<div class='h'>{text(words)}</div>")


def gallery(
    samples: Sequence[Sample], verdicts: Mapping[str, tuple[int, int]], buttons: Sequence[str]
) -> str:
    """Cards of some samples; ``buttons`` are markup of our own."""
    cards = (
        card(one, verdicts[one.row["sample_id"]], button)
        for one, button in zip(samples, buttons, strict=True)
    )
    return f"<div class='gallery'>{''.join(cards)}</div>"


def bar(buttons: Sequence[str], where: str, number: int) -> str:
    """Buttons to go on with, and where one is; for each number they are new ones."""
    return anew(f"{''.join(buttons)}<span id='where'>{text(where)}</span>", number)


def anew(content: str, number: int) -> str:
    """Elements of marimo's that are new ones for the next number.

    The page keeps an element that stands where one stood, with its focus, while which no key is
    heard, and with what was typed into it: so it is put into another one than before.
    """
    kind = "div" if number % 2 else "section"
    return f"<{kind} class='steps'>{content}</{kind}>"
