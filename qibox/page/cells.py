"""What the page's tabs show: HTML of our own from a context and what a person has set."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from qibox.box import INSTABILITY_RANGE, QUALITY_RANGE, Box
from qibox.catalog.cookbook import load_cookbook
from qibox.errors import QiboxError
from qibox.figures import data, kinds
from qibox.figures.box import density_figure
from qibox.figures.style import image
from qibox.page import html
from qibox.page.context import Context

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TABS: Final = ("Box", "Samples", "Models", "Training", "SQL")
PER_PAGE: Final = 12  # samples in the gallery at once
ROWS: Final = 200  # of a query, shown
QUERIES: Final = {question.asks: question.query.strip() for question in load_cookbook()}
_CHANGED: Final = """
with judged as (
    select pool, judge, policy, stage, sample_id, k, text, safe, helpfulness from evaluations
    where judge is not null
), pairs as (
    select a.pool, a.sample_id, a.k, a.policy, b.text as before, a.text as after,
           case when not b.safe and a.safe then 'unsafe → safe'
                when b.safe and not a.safe then 'safe → unsafe'
                when b.helpfulness >= 6 and a.helpfulness <= 1 then 'helpful → refused'
           end as change
    from judged a join judged b using (pool, judge, sample_id, k)
    join (select distinct pool, judge, policy, start from rates where start is not null) r
      on r.pool = a.pool and r.judge = a.judge and r.policy = a.policy and r.start = b.policy
    where a.stage = 'trained' and b.stage = 'start'
)
select policy, pool, change, sample_id, k, before, after from pairs where change is not null
order by all limit 60
"""


class Visit:
    """One person's visit: where the box is, beside marimo's states that make cells run again."""

    def __init__(
        self,
        first: Box,
        set_box: Callable[[Box], None],
        set_drawn: Callable[[Any], None],
        set_open: Callable[[Any], None],
    ) -> None:
        self.box = first  # reading it makes no cell depend on it
        self._set_box = set_box
        self._set_drawn = set_drawn
        self._set_open = set_open

    def move(self, box: Box, redraw: bool) -> None:
        """Put the box somewhere else, and draw it there unless a hand has already."""
        if box != self.box:
            self.box = box
            self._set_open(None)
            self._set_box(box)
        if redraw:
            self._set_drawn(lambda count: count + 1)


def box_axes(context: Context) -> "Axes":
    """The density of the run's scores, to drag a box on."""
    return density_figure(data.density(context.samples.cursor(), "samples"), size=(7.6, 4.6)).axes[
        0
    ]


def boxed(low: float, high: float, least: float) -> Box:
    """The box nearest to some edges that scores can lie in; to 4 decimals, as it is shown."""
    low, high = sorted((low, high))
    floor, ceiling = QUALITY_RANGE
    return Box(
        round(min(max(low, floor), ceiling), 4),
        round(min(max(high, floor), ceiling), 4),
        round(min(max(least, 0.0), INSTABILITY_RANGE[1]), 4),
    )


def start_of(page: float | None, matching: int) -> int:
    """Where a page of the gallery starts, from 0; the last page when there are fewer."""
    return (min(max(1, int(page or 1)), -(-matching // PER_PAGE) or 1) - 1) * PER_PAGE


def live(context: Context, box: Box) -> str:
    """Counts, the command, the mix: what changes when the box moves."""
    inside, scored = context.samples.count(box)
    share = f"{inside / scored:.1%}" if scored else "–"
    return html.page(
        f"<p><span class='big' id='inside'>{inside:,}</span> of {scored:,} scored samples "
        f"({share}) in {box.q_low:g} ≤ Q ≤ {box.q_high:g}, U ≥ {box.u_min:g}</p>",
        f"<code class='cmd' id='command'>{html.text(context.command(box))}</code>",
        html.mix_table(context.samples.mix(box)),
    )


def picture(context: Context, kind: str, policies: Sequence[str] = ()) -> str:
    """A figure of the run as an image, drawn once a process; or why there is none."""
    key = f"{kind}/{'/'.join(policies)}"
    if key not in context.pictures:
        try:
            figure = kinds.figure(context.run, kind, kinds.Shown(policies=policies))
        except QiboxError as error:
            return html.page(f"<p class='warn'>{html.text(error)}</p>")
        context.pictures[key] = image(figure, "png")
    return html.page(html.drawn(context.pictures[key], kind))


def rollouts(context: Context, step: int | None, words: str) -> str:
    """Draft, reflection and correction of a step's rollouts that contain some words."""
    return asked(
        context,
        "select policy, step, sample_id, k, draft, reflection, final, round(reward, 2) as reward "
        f"from rollouts where ({'true' if step is None else f'step = {step:d}'}) and "
        f"contains(lower(concat_ws(' ', draft, reflection, final)), {_quoted(words.lower())}) "
        "order by (reflection is null), policy, step, sample_id, k limit 60",
    )


def changed(context: Context) -> str:
    """Answers to benchmarks that training changed: safe or not, helpful or refused."""
    return asked(context, _CHANGED)


def asked(context: Context, query: str) -> str:
    """Rows of a query through the guard of `qibox sql`; an error is a sentence."""
    try:
        with context.sql() as opened:
            reader = opened.batches(query)
            names = reader.schema.names
            numbered = (b.rename_columns([str(i) for i in range(len(names))]) for b in reader)
            rows = [tuple(r.values()) for r in islice(_rows(numbered), ROWS + 1)]
    except QiboxError as error:
        return html.page(f"<p class='warn'>{html.text(error)}</p>")
    more = f"<p>the first {ROWS} rows</p>" if len(rows) > ROWS else ""
    return html.page(html.table(names, rows[:ROWS]), more)


def _rows(batches: Any) -> Any:
    for batch in batches:
        yield from batch.to_pylist()


def _quoted(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"
