"""What the page shows of tables, as HTML: every value goes through :mod:`qibox.opened.html`."""

from collections.abc import Sequence

from qibox.opened import Sample
from qibox.opened.html import STYLE, drawn, image_tag, opened, table, text

__all__ = ["card", "drawn", "image_tag", "mix_table", "opened", "page", "table", "text"]


def page(*parts: str) -> str:
    """Parts under the page's style."""
    return f"{STYLE}<div class='qb'>{''.join(parts)}</div>"


def mix_table(counts: Sequence[tuple[str, str, int, int]]) -> str:
    """Strata in the pool and in the box, as numbers and bars; starved ones are named."""
    totals: dict[str, tuple[int, int]] = {}
    for dimension, _, before, after in counts:
        had, has = totals.get(dimension, (0, 0))
        totals[dimension] = (had + before, has + after)
    rows, last = [], ""
    for dimension, value, before, after in counts:
        had, has = totals[dimension]
        was, now = before / had, after / has if has else 0.0
        note = "<span class='warn'>starved</span>" if has and now < 0.2 * was else ""
        bars = "".join(
            f"<span class='bar {kind}' style='width:{160 * share:.0f}px'></span><br>"
            for kind, share in (("pool", was), ("", now))
        )
        rows.append(
            f"<tr><th>{text(dimension) if dimension != last else ''}</th><td>{text(value)}</td>"
            f"<td class='n'>{before:,}</td><td class='n'>{was:.1%}</td>"
            f"<td class='n'>{after:,}</td><td class='n'>{now:.1%}</td><td>{bars}</td>"
            f"<td>{note}</td></tr>"
        )
        last = dimension
    names = ("", "", "pool", "share", "box", "share", "pool above box", "")
    head = "".join(f"<th>{name}</th>" for name in names)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def card(sample: Sample, button: str) -> str:
    """A sample in the gallery; ``button`` is markup of our own."""
    scores = sample.scores or {}
    judged = [j for a in sample.answers for j in a.judgments[:1] if j["safe"] is not None]
    unsafe = sum(not j["safe"] for j in judged)
    return (
        f"<div class='card'>{image_tag(sample.image, 206)}"
        f"<div class='q'>{text(sample.row['question'])}</div>"
        f"<div>Q {text(scores.get('quality'))} · U {text(scores.get('instability'))}<br>"
        f"<span class='{'unsafe' if unsafe else 'safe'}'>{unsafe} of {len(judged)} unsafe</span>"
        f"</div>{button}</div>"
    )
