"""The tab Training: curves, rates with intervals, rollouts turn by turn, answers that changed."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from qibox.catalog.connect import reading
from qibox.errors import QiboxError
from qibox.evaluation.measures import SHARES
from qibox.figures import data
from qibox.page import html
from qibox.page.asking import asked, listed, quoted
from qibox.page.cells import picture
from qibox.page.context import Context
from qibox.run.finished import policy_names

if TYPE_CHECKING:
    import pandas as pd

SHOWN: Final = 60  # rollouts, and answers that changed
CHANGES: Final = ("unsafe → safe", "safe → unsafe", "helpful → refused")
HELPFUL: Final = 6  # helpfulness from which an answer is called so
REFUSED: Final = 1  # and up to which it is a refusal

_CHANGED: Final = f"""
with judged as (
    select pool, judge, policy, stage, sample_id, k, text, safe, helpfulness from evaluations
    where judge is not null
), pairs as (
    select a.pool, a.sample_id, a.k, a.policy, b.text as before, a.text as after,
           case when not b.safe and a.safe then '{CHANGES[0]}'
                when b.safe and not a.safe then '{CHANGES[1]}'
                when b.helpfulness >= {HELPFUL} and a.helpfulness <= {REFUSED} then '{CHANGES[2]}'
           end as change
    from judged a join judged b using (pool, judge, sample_id, k)
    join (select distinct pool, judge, policy, start from rates where start is not null) r
      on r.pool = a.pool and r.judge = a.judge and r.policy = a.policy and r.start = b.policy
    where a.stage = 'trained' and b.stage = 'start'
)
select policy, pool, change, sample_id, k, before, after from pairs
where change in {{changes}} and policy in {{policies}} order by all limit {SHOWN}
"""
_ROLLOUTS: Final = f"""
select policy, step, sample_id, k, draft, reflection,
       case when reflection is not null then final end as correction,
       case when unsafe_draft is null then 'not judged' when not unsafe_draft then 'safe'
            when corrected then 'unsafe, corrected' else 'unsafe' end as "the draft was",
       round(reward, 2) as reward
from rollouts where policy in {{policies}} and {{step}}
  and contains(lower(concat_ws(' ', sample_id, draft, reflection, final)), {{words}})
order by (reflection is null), policy, step, sample_id, k limit {SHOWN}
"""


def policies(context: Context) -> list[str]:
    """Names of the run's policies, also of one whose training goes on."""
    storage = context.run.storage
    files = storage.files("policies")
    going = {name.split("/")[1] for name in files if name.endswith("/training/metrics.jsonl")}
    return sorted({*policy_names(storage), *going})


def measured(context: Context, names: Sequence[str]) -> list[str]:
    """Those of some policies whose training has kept what it measured."""
    found = []
    for name in names:
        with suppress(QiboxError):
            data.training(context.run.storage, name)
            found.append(name)
    return found


def curves(context: Context, names: Sequence[str]) -> str:
    """The curves of some policies laid over each other, as far as they have come."""
    known = measured(context, names)
    if not known:
        return html.page("<p>None of these keeps measurements of a training.</p>")
    return picture(context, "training", known)


def alarms(context: Context, names: Sequence[str]) -> str:
    """What the monitors of some policies' trainings saw, in a sentence each."""
    return asked(
        context,
        "select policy, step, monitor, measurement, round(value, 4) as value, "
        f"round(threshold, 4) as threshold, sentence from alarms where policy in {listed(names)} "
        "order by all",
    )


def rollouts(context: Context, names: Sequence[str], step: int | None, words: str) -> str:
    """Draft, reflection and correction of a step's rollouts that contain some words."""
    at = "true" if step is None else f"step = {step:d}"
    query = _ROLLOUTS.format(policies=listed(names), step=at, words=quoted(words.lower()))
    return asked(context, query)


def changed(context: Context, names: Sequence[str], change: str | None) -> str:
    """Answers to benchmarks that training changed: safe or not, helpful or refused."""
    kinds = CHANGES if change is None else (change,)
    return asked(context, _CHANGED.format(changes=listed(kinds), policies=listed(names)))


def rates(context: Context, names: Sequence[str]) -> str:
    """Each measure of some policies and their starts, with its interval and its change."""
    with reading(context.run, ("rates",)) as connection:
        frame = data.rates(connection, names)
    frame = frame[frame["by"] != "category"]
    if not len(frame) or not names:
        return html.page("<p>None of these has been evaluated: <code>qibox eval</code> does.</p>")
    return html.page(rates_table(frame))


def rates_table(frame: "pd.DataFrame") -> str:
    """Rates as a table: shares in percent, scores in points, 95 % intervals over samples."""
    rows = []
    for row in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        times = 100.0 if row["measure"] in SHARES else 1.0
        unit = "%" if times > 1 else "points"
        of = row["among"] or "all"
        rows.append(
            (
                *(row[name] for name in ("pool", "judge", "policy", "stage", "measure")),
                of,
                unit,
                _interval(row, ("value", "low", "high"), times),
                _interval(row, ("change", "change_low", "change_high"), times, sign="+"),
                row["samples"],
            )
        )
    names = ("benchmark", "judge", "policy", "stage", "measure", "of", "unit", "value [95 %]")
    return html.table((*names, "change [95 %]", "samples"), rows)


def _interval(
    row: dict[Any, Any], names: tuple[str, str, str], times: float, sign: str = ""
) -> str:
    value, low, high = (row[name] for name in names)
    if value is None:
        return "–"
    digits = 0 if times > 1 else 1

    def shown(number: float) -> str:
        return f"{round(number * times, digits) + 0.0:{sign}.{digits}f}"  # no -0

    if low is None or high is None:
        return shown(value)
    return f"{shown(value)} [{shown(low)}, {shown(high)}]"
