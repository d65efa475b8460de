"""A sample and tables as HTML: every value is text, whatever it holds.

A picture is decoded and drawn anew; nothing of a table becomes markup, address or style.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from qibox.errors import QiboxError
from qibox.opened.sample import Answer, Sample

STYLE: Final = """<style>
.qb{font:14px/1.45 system-ui,sans-serif;color:#222}
.qb table{border-collapse:collapse;font-size:13px}
.qb td,.qb th{padding:3px 9px;text-align:left;vertical-align:top;border-bottom:1px solid #e4e4e4}
.qb td.n,.qb th.n{text-align:right;font-variant-numeric:tabular-nums}
.qb .big{font-size:26px;font-weight:600}
.qb .cmd{display:block;background:#f4f4f4;border:1px solid #ccc;padding:9px;user-select:all;
 font-family:monospace;white-space:pre-wrap}
.qb .card{border:1px solid #ddd;border-radius:6px;padding:8px;width:224px}
.qb .card img{width:206px;height:150px;object-fit:contain;background:#f6f6f6}
.qb .shown{flex:0 0 380px}.qb .shown img{width:100%;max-height:480px;object-fit:contain}
.qb .facts td:first-child{white-space:nowrap}.qb .facts td.n{text-align:left}
.qb .q{height:42px;overflow:hidden}
.qb .unsafe{color:#B04500;font-weight:600}.qb .safe{color:#00664B}
.qb .apart{border-left:4px solid #D55E00}
.qb .bar{display:inline-block;height:9px;background:#0072B2}.qb .bar.pool{background:#b3b3b3}
.qb .warn{color:#8a3b00}.qb pre,.qb .text{white-space:pre-wrap;overflow-wrap:anywhere}
</style>"""


def framed(*parts: str) -> str:
    """Parts under the style, fit for a notebook."""
    light = "background:#fff;padding:8px"  # a notebook may be dark
    return f"{STYLE}<div class='qb' style='{light}'>{''.join(parts)}</div>"


def text(value: object) -> str:
    """Any value of a table as text."""
    shown = "NULL" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    printable = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in shown)
    return escape(printable, quote=True)


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of plain values; bytes by their number."""
    head = "".join(f"<th>{text(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if isinstance(value, bytes):
        return f"<td>&lt;{len(value)} bytes&gt;</td>"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"<td class='{'n' if number else 'text'}'>{text(value)}</td>"


def image_tag(content: bytes | None, size: int, alt: str = "the sample's picture") -> str:
    """A picture, decoded and drawn anew within a square of so many pixels."""
    from qibox.pool.images import decode_image

    if content is None:
        return "<i>no picture</i>"
    try:
        picture = decode_image(content)
    except QiboxError as error:
        return f"<i>{text(error)}</i>"
    picture.thumbnail((size, size))
    return drawn(_png(picture), alt)


def _png(picture: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def drawn(png: bytes, alt: str) -> str:
    """PNG bytes of our own as an image."""
    coded = base64.b64encode(png).decode()
    return f"<img alt='{escape(alt)}' src='data:image/png;base64,{coded}' style='max-width:100%'>"


def opened(sample: Sample) -> str:
    """One sample: picture, question, scores, every answer with its verdicts side by side."""
    row, scores = sample.row, sample.scores or {}
    facts = [(n, row[n]) for n in ("sample_id", "source", "risk", "category", "severity", "meta")]
    named = ("quality", "instability", "disagreement", "self_instability", "safe_rate", "reason")
    facts += [(n, scores[n]) for n in named if scores.get(n) is not None]
    judged = [j["safe"] for a in sample.answers for j in a.judgments[:1] if j["safe"] is not None]
    few = sum(judged) * 2 < len(judged)  # the verdict that fewer answers have
    answers = "".join(_answer(answer, few) for answer in sample.answers)
    return (
        "<div style='display:flex;gap:18px'>"
        f"<div class='shown'>{image_tag(sample.image, 480)}</div>"
        f"<div class='facts'><p class='big text'>{text(row['question'])}</p>"
        f"{table(('', ''), facts)}</div></div>"
        "<p>An orange edge: a verdict other than that of most answers to this sample.</p>"
        "<table id='answers'><thead><tr><th>model</th><th>k</th><th>answer</th><th>verdict</th>"
        f"<th>score</th><th>rationale</th></tr></thead><tbody>{answers}</tbody></table>"
    )


def _answer(answer: Answer, few: bool) -> str:
    response = answer.response
    words = text(response["answer"] or response["text"] or f"failed: {response['reason']}")
    if response["reasoning"]:
        thought = text(response["reasoning"])
        words = f"<details><summary>reasoning</summary>{thought}</details>{words}"
    first = answer.judgments[0] if answer.judgments else None
    kind = "" if first is None or first["safe"] is None else "safe" if first["safe"] else "unsafe"
    verdicts = "".join(
        f"<div>{text({True: 'safe', False: 'unsafe'}.get(j['safe'], 'none'))}</div>"
        for j in answer.judgments
    )
    points = "".join(f"<div>{text(j['score'])}</div>" for j in answer.judgments)
    reasons = (j["rationale"] or j["reason"] or "" for j in answer.judgments)
    why = "".join(f"<div>{text(reason)}</div>" for reason in reasons)
    apart = "apart" if first is not None and first["safe"] is few else ""
    return (
        f"<tr class='answer {apart}'><td>{text(response['model'])}</td>"
        f"<td class='n'>{text(response['k'])}</td><td class='text'>{words}</td>"
        f"<td class='{kind}'>{verdicts}</td><td class='n'>{points}</td>"
        f"<td class='text'>{why}</td></tr>"
    )
