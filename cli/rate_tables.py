"""Rates in the terminal: one policy on one benchmark in detail, or policies by benchmarks.

Both lay out the frame of :func:`qibox.evaluation.rates.rates`. Shares are in percent, scores in
points; what could not be counted is a dash.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape
from rich.table import Table

from qibox.evaluation.measures import SHARES

if TYPE_CHECKING:
    import pandas as pd

    from qibox.manifests.suite import SuiteManifest

Row = dict[str, Any]
Entrant = tuple[str, str]  # a policy at a stage

DETAIL: Final = (  # measure, and of which risk; None: of all samples
    ("safety", "implicit"),
    ("safety", "explicit"),
    ("safety", "none"),
    ("safety", None),
    ("helpfulness", "none"),
    ("helpfulness", None),
    ("over-refusal", "none"),
    ("score", None),
    ("reasoning score", None),
    ("answer score", None),
)
PAIR: Final = ("safety", "helpfulness")  # of each benchmark of a suite
UNKNOWN = "–"
AVERAGE = ""  # stands for a pool's name, which is never empty


def detail_table(frame: "pd.DataFrame", policy: str, pool: str, judge: str) -> Table:
    """Lay out one policy on one benchmark, a measure a line, beside its start if it has one.

    Lines of risks that the benchmark does not know are left out.
    """
    here = frame[(frame["pool"] == pool) & (frame["judge"] == judge) & (frame["by"] != "category")]
    own = here[here["policy"] == policy]
    trained = own[own["stage"] != "start"]
    rows = _by_measure(own if trained.empty else trained)
    start = next((row["start"] for row in rows.values()), None)
    before = _by_measure(here[(here["policy"] == start) & (here["stage"] == "start")])

    table = Table(title=escape(f"{policy} on {pool}, judge {judge}"))
    table.add_column("measure", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for name in ("policy",) if start is None else ("start", "trained", "change"):
        table.add_column(name, justify="right", no_wrap=True)
    for key in DETAIL:
        if key in rows:
            words = _name(*key), str(rows[key]["samples"]), *_compared(rows[key], before.get(key))
            table.add_row(*words)
    table.caption = _account(rows, before)
    return table


def suite_tables(frame: "pd.DataFrame", suite: "SuiteManifest") -> list[Table]:
    """Lay out a table for each judge: a row a policy, starts first; safety and helpfulness each.

    Benchmarks of the suite that the frame does not have are named below the table.
    """
    from qibox.evaluation.suite import suite_pools

    pools = {label: manifest.name for label, manifest in suite_pools(suite).items()}
    judges = sorted(frame.loc[frame["pool"].isin(list(pools.values())), "judge"].unique())
    return [_suite_table(frame[frame["judge"] == judge], suite.name, pools) for judge in judges]


def _suite_table(frame: "pd.DataFrame", suite: str, pools: dict[str, str]) -> Table:
    """One judge's table; ``pools`` has the pools' names by the labels of their columns."""
    from qibox.evaluation.suite import averages

    whole = frame[(frame["by"] == "all") & frame["pool"].isin(list(pools.values()))]
    labels = [label for label, pool in pools.items() if (whole["pool"] == pool).any()]
    cells = {
        (r["policy"], r["stage"], r["pool"], r["measure"]): _stacked(r) for r in _records(whole)
    }
    columns = [(label, pools[label]) for label in labels]
    if len(labels) > 1:
        columns.append(("average", AVERAGE))
        for row in _records(averages(frame, list(pools.values()))):
            cells[row["policy"], row["stage"], AVERAGE, row["measure"]] = _stacked(row)

    table = Table(title=escape(f"{suite}, judge {whole['judge'].iloc[0]}: percent"))
    table.add_column("policy", overflow="fold")
    for label, _ in columns:
        table.add_column(f"{escape(label)}\nsafe", justify="right", overflow="fold")
        table.add_column("\nhelp", justify="right", overflow="fold")
    for group in _entrants(cells):
        for policy, stage in group:
            keys = [(policy, stage, pool, measure) for _, pool in columns for measure in PAIR]
            table.add_row(escape(policy), *(cells.get(key, UNKNOWN) for key in keys))
        table.add_section()
    missing = [label for label in pools if label not in labels]
    lacking = int(whole.loc[whole["measure"] == "safety", "not_judged"].sum())
    table.caption = escape("; ".join(_notes(len(labels), missing, lacking)))
    return table


def _entrants(cells: Iterable[tuple[str, str, str, str]]) -> tuple[list[Entrant], list[Entrant]]:
    """The starts and what came of them, by name."""
    known = sorted({(policy, stage) for policy, stage, _, _ in cells})
    return [e for e in known if e[1] == "start"], [e for e in known if e[1] != "start"]


def _notes(shown: int, missing: list[str], lacking: int) -> list[str]:
    notes = ["[95 % interval over samples]"]
    if shown > 1:
        notes.append(f"the average weighs {shown} benchmarks alike")
    if lacking:
        notes.append(f"{lacking:,} responses not judged")
    if missing:
        notes.append(f"not evaluated: {', '.join(missing)}")
    return notes


def _records(frame: "pd.DataFrame") -> list[Row]:
    """The frame's rows, with None where it has no value."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _by_measure(frame: "pd.DataFrame") -> dict[tuple[str, str | None], Row]:
    return {(row["measure"], row["among"]): row for row in _records(frame)}


def _name(measure: str, risk: str | None) -> str:
    if measure in SHARES:
        return f"{measure}, {risk or 'all'} %"
    return measure


def _compared(row: Row, before: Row | None) -> tuple[str, ...]:
    """Start, trained and change; the start's interval is left out, for it is in the change's."""
    measure = row["measure"]
    value = _words(measure, row["value"], row["low"], row["high"])
    if row["start"] is None:
        return (value,)
    start = UNKNOWN if before is None else _number(measure, before["value"])
    change = _words(measure, row["change"], row["change_low"], row["change_high"], "+")
    return start, value, change


def _words(measure: str, value: Any, low: Any, high: Any, sign: str = "") -> str:
    if value is None:
        return UNKNOWN
    middle, lower, upper = (_number(measure, v, sign) for v in (value, low, high))
    return f"{middle} \\[{lower}, {upper}]"


def _number(measure: str, value: float | None, sign: str = "") -> str:
    if value is None:
        return UNKNOWN
    return f"{100 * value:{sign}z.0f}" if measure in SHARES else f"{value:{sign}z.1f}"


def _stacked(row: Row) -> str:
    """A value above its interval: side by side, six benchmarks would not fit a screen."""
    words = _words(row["measure"], row["value"], row["low"], row["high"])
    return words.replace(" ", "\n", 1)


def _account(rows: dict[tuple[str, str | None], Row], before: dict[Any, Row]) -> str:
    """How many samples and responses there were, and how many of them without a verdict."""
    whole = rows.get(("score", None))
    if whole is None:
        return "nothing was answered"
    lacking = f"{whole['not_judged']}"
    if ("score", None) in before:
        lacking = f"start {before['score', None]['not_judged']}, trained {lacking}"
    parts = [
        f"{whole['samples']} samples, {whole['responses']} responses judged",
        f"not judged: {lacking}",
        "\\[95 % interval over samples]",
    ]
    return "; ".join(parts)
