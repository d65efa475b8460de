"""A run as one HTML file, for people who do not have the run: figures, tables, a dozen samples.

The file has all that it shows within itself, asks for nothing, runs no script, and is the same for
the same run. Redacted, it holds counts, scores and figures: no picture, text or id of a sample, no
reason that may quote one.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from qibox.catalog.connect import reading
from qibox.errors import QiboxError
from qibox.figures import data, kinds
from qibox.figures.box import box_figure
from qibox.figures.scores import scores_figure
from qibox.figures.style import image
from qibox.opened import Answer, Sample
from qibox.page import html
from qibox.page.boxes import live
from qibox.page.context import Context
from qibox.page.panel import models
from qibox.page.training import measured, policies, rates_table
from qibox.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIMIT: Final = 4_900_000  # bytes of the file; samples are left out until it fits
SAMPLES: Final = 12
CHARACTERS: Final = 600  # of an answer, its reasoning or its rationale
PIXELS: Final = 320  # a picture's longer side
PLAIN: Final = (
    "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    "<meta http-equiv='Content-Security-Policy' "
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
)
LOOK: Final = """<style>
body{margin:0 auto;max-width:1080px;padding:24px;color:#222;font:14px/1.45 system-ui,sans-serif}
h1{font-size:24px;margin:0}h2{font-size:19px;margin:34px 0 6px;border-top:1px solid #ddd;
padding-top:14px}nav a{margin-right:14px;color:#0072B2}img{max-width:100%}
details.sample{border:1px solid #ddd;border-radius:6px;margin:8px 0;padding:8px 12px}
.qb .mix td,.qb .mix th{padding:1px 7px}.qb .mix .bar{height:6px;vertical-align:top}
.qb .bars{line-height:8px}.qb .w{white-space:nowrap}.qb .answers{width:100%}summary{cursor:pointer}
</style>"""

Section = tuple[str, str]  # its title and its HTML


def report(context: Context, redact: bool = False) -> str:
    """The whole file."""
    sections = list(_sections(context, redact))
    samples = [] if redact else _samples(context)
    while True:
        shown = [*sections, ("Samples", _gallery(samples))] if samples else sections
        page = _page(context, shown, redact)
        if len(page.encode()) <= LIMIT or not samples:
            return page
        samples.pop()


def _page(context: Context, sections: list[Section], redact: bool) -> str:
    named = [(f"part-{i}", title, body) for i, (title, body) in enumerate(sections)]
    links = "".join(f"<a href='#{at}'>{html.text(title)}</a>" for at, title, _ in named)
    parts = "".join(f"<h2 id='{at}'>{html.text(title)}</h2>{body}" for at, title, body in named)
    name = html.text(context.name)
    left_out = "<p>Pictures, texts and ids of samples are left out.</p>" if redact else ""
    return (
        f"<!doctype html><html lang='en'><head>{PLAIN}<title>{name}</title>{LOOK}</head><body>"
        f"<h1>{name}</h1>{html.page(_facts(context), left_out)}<nav>{links}</nav>{parts}"
        f"<p>made by qibox {html.text(__version__)}</p></body></html>\n"
    )


def _facts(context: Context) -> str:
    manifest = context.run.manifest
    ((scored, everything),) = context.samples.ask("select count(quality), count(*) from samples")
    facts = {
        "pool": f"{manifest.pool.name}: {everything:,} samples, {scored:,} of them scored",
        "panel": f"{manifest.panel.name}: {', '.join(manifest.panel.models)}",
        "responses": f"{manifest.panel.sampling.samples} by each model to each sample",
        "judges": ", ".join(judge.name for judge in manifest.judges),
    }
    return html.table(("", ""), facts.items())


def _sections(context: Context, redact: bool) -> Iterator[Section]:
    yield "The box", _box(context) + _figure("scores", _scores(context))
    views = ("selections", "rates", "rejects")
    with reading(context.run, views) as opened:
        chosen = opened.execute(
            "select selection, count(*), round(avg(quality), 2), round(avg(instability), 2) "
            "from selections where variant_of is null group by all order by all"
        ).fetchall()
        if chosen:
            names = ("selection", "samples", "mean Q", "mean U")
            yield "Selections", html.page(html.table(names, chosen))
        if panel := models(context):
            yield "Models", panel
        if trained := measured(context, policies(context)):
            curves = kinds.figure(context.run, "training", kinds.Shown(policies=trained))
            yield "Training", _figure("training", curves)
        rates = data.rates(opened)
        if len(rates):
            table = html.page(rates_table(rates[rates["by"] != "category"]))
            evaluation = kinds.figure(context.run, "evaluation")
            yield "Evaluations", _figure("evaluation", evaluation) + table
        what = "stage" if redact else "stage, reason"
        rows = opened.execute(f"select {what}, count(*) from rejects group by all order by all")
        found = rows.fetchall()
    if found:
        yield "Missing rows", html.page(html.table((*what.split(", "), "rows"), found))


def _box(context: Context) -> str:
    box = context.first_box()
    columns = ("dimension", "value", "before", "after")
    rows = [[getattr(row, name) for name in columns] for row in context.samples.mix(box)]
    mix = pd.DataFrame(rows, columns=list(columns))
    figure = box_figure(context.samples.density(), [("box", box)], mix)
    return _figure("box", figure) + live(context, box)


def _scores(context: Context) -> "Figure":
    return scores_figure(context.samples.histograms(context.first_box()))


def _figure(name: str, figure: "Figure") -> str:
    return html.drawn(image(figure, "png"), name)


def _samples(context: Context) -> list[str]:
    """A dozen samples of the box, those of each kind in turn, the most unstable first."""
    found = context.samples.read(context.samples.dozen(context.first_box(), SAMPLES))
    shown = []
    for sample in found:
        scores = sample.scores or {}
        said = f"Q {html.text(scores.get('quality'))} · U {html.text(scores.get('instability'))}"
        summary = f"{html.text(sample.row['risk'])} · {said} · {html.text(sample.row['question'])}"
        whole = html.opened(_reduced(sample)).replace(" id='answers'", " class='answers'")
        shown.append(
            f"<details class='sample'><summary>{summary}</summary>{html.page(whole)}</details>"
        )
    return shown


def _gallery(samples: list[str]) -> str:
    return "<p>Click one to see its picture and all answers.</p>" + "".join(samples)


def _reduced(sample: Sample) -> Sample:
    """The sample with its picture made small and its texts cut."""
    row = {**_cut(sample.row), "image": None}
    if sample.image is not None:
        row["image"] = {"bytes": _small(sample.image), "path": None}
    answers = tuple(
        Answer(_cut(a.response), tuple(_cut(j) for j in a.judgments)) for a in sample.answers
    )
    return replace(sample, row=row, answers=answers)


def _cut(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value[:CHARACTERS] + "…"
        if isinstance(value, str) and len(value) > CHARACTERS
        else value
        for name, value in row.items()
    }


def _small(content: bytes) -> bytes:
    """A picture within a square of ``PIXELS``; one that cannot be decoded as it is."""
    from qibox.pool.images import decode_image

    try:
        picture = decode_image(content)
    except QiboxError:
        return content
    picture.thumbnail((PIXELS, PIXELS))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
