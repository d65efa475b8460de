"""An audit in the terminal: agreement by group, errors, the box, biases, the gravest cases."""

import shlex
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from qibox.audit.reflections import Reflected, sample_to_read
from qibox.audit.report import Audit
from qibox.cli import console
from qibox.cli.cells import printable

if TYPE_CHECKING:
    import pandas as pd

NONE = "-"
FLAGS = ("accuracy", "kappa", "alpha")
SCORES = ("mean error", "absolute error", "within 1", "spearman", "kendall")
CHANGES = ("kept", "leaving", "entering", "overlap")


def print_audit(audit: Audit, run: str) -> None:
    """Print the tables of an audit and the commands that show its gravest disagreements."""
    frame = audit.rows.to_pandas()
    console.out.print(
        f"{printable(audit.other)} compared with {printable(audit.judge)}: {audit.answers:,} "
        "answers that both rated",
        highlight=False,
        markup=False,
    )
    whole = frame["by"] == "all"
    flags, scores = frame["part"] == "flags", frame["part"] == "scores"
    _print(frame[flags & whole], "flags", FLAGS, "measure")
    _print(frame[flags & (frame["measure"] == "safe") & ~whole], "safe, by group", FLAGS)
    _print(frame[scores & whole], "scores, points", SCORES, "measure")
    _print(frame[scores & (frame["measure"] == "score") & ~whole], "score, by group", SCORES)
    _print(frame[frame["part"] == "samples"], "samples", SCORES, "measure")
    box = frame[frame["part"] == "box"]
    _print(box, f"samples in the box of selection {audit.selection}", CHANGES)
    title = "biases and noise, with 95 % intervals over samples"
    _print_intervals(frame[frame["part"].isin(["bias", "noise"])], title)
    _print_gravest(audit, run)


def _print(frame: "pd.DataFrame", title: str, statistics: tuple[str, ...], rows: str = "") -> None:
    """One table: a line a measure, or a group of answers; a column a statistic."""
    if not len(frame):
        return
    table = Table(title=Text(printable(title)), title_justify="left")
    table.add_column("")
    for name in ("n", *statistics):
        table.add_column(name, justify="right")
    keys = [rows] if rows else ["by", "among"]
    for _, part in frame.groupby(keys, sort=False, dropna=False):
        own = part.set_index("statistic")
        first = part.iloc[0]
        name = first[rows] if rows else _group(first["by"], first["among"])
        cells = [_cell(own, statistic) for statistic in statistics]
        table.add_row(Text(printable(str(name))), f"{first['n']:,}", *cells)
    console.out.print(table)


def _group(by: str, among: str | None) -> str:
    return "all" if by == "all" else f"{by} {among}"


def _cell(own: "pd.DataFrame", statistic: str) -> Text:
    """A statistic's value, with its interval where it has one."""
    if statistic not in own.index:
        return Text(NONE)
    value, low, high = own.loc[statistic, ["value", "low", "high"]]
    number = _number(value, statistic)
    return Text(number if low != low else f"{number} [{low:z.2f}, {high:z.2f}]")


def _number(value: Any, statistic: str) -> str:
    if value is None or value != value:
        return NONE
    return f"{value:,.0f}" if statistic in CHANGES[:3] else f"{value:z.3f}"


def _print_intervals(frame: "pd.DataFrame", title: str) -> None:
    if not len(frame):
        return
    table = Table(title=Text(title), title_justify="left")
    table.add_column("")
    table.add_column("in")
    for name in ("n", "value", "interval"):
        table.add_column(name, justify="right")
    for row in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        value, interval = NONE, NONE
        if row["value"] is not None:
            value = f"{row['value']:+z.3f}"
        if row["low"] is not None:
            interval = f"[{row['low']:+z.3f}, {row['high']:+z.3f}]"
        whose = f"{row['among']}: " if row["by"] in ("judge", "step") else ""
        whom = Text(printable(f"{whose}{row['measure']}"))
        cells = (whom, Text(row["statistic"]), f"{row['n']:,}", value)
        table.add_row(*cells, Text(interval))
    console.out.print(table)


def print_reflections(made: Reflected) -> None:
    """Print what a second judge says of a training's reflections, and some to read."""
    frame = made.rows.to_pandas()
    console.out.print(
        f"{len(made.reflections):,} unsafe drafts of policy {printable(made.policy)} that were "
        f"reflected upon, by judge {made.judge} beside {made.first}; causes by {made.causes}",
        highlight=False,
        markup=False,
    )
    _print_intervals(frame[frame["by"] == "all"], "over all steps, with 95 % intervals")
    _print_steps(frame[frame["by"] == "step"])
    for row in sample_to_read(made).to_dict("records"):
        said = {True: "safe", False: "unsafe", None: "not judged"}[row["final_safe"]]
        cause = {True: ", right cause", False: ", wrong cause", None: ""}[row["right_cause"]]
        console.out.print(f"\n{row['sample_id']}, step {row['step']}: {said}{cause}", markup=False)
        for part in ("draft", "reflection", "final"):
            console.out.print(f"  {part}: {printable(row[part])}", highlight=False, markup=False)


def _print_steps(frame: "pd.DataFrame") -> None:
    """A line a group of steps, a column a measure."""
    if not len(frame):
        return
    measures = list(dict.fromkeys(frame["measure"]))
    table = Table(title="by step", title_justify="left")
    table.add_column("steps")
    for measure in measures:
        table.add_column(measure, justify="right")
    for steps, part in frame.groupby("among", sort=False):
        own = part.set_index("measure")["value"]
        table.add_row(str(steps), *(_number(own.get(measure), "") for measure in measures))
    console.out.print(table)


def _print_gravest(audit: Audit, run: str) -> None:
    rows = audit.disagreements.to_pylist()
    if not rows:
        console.out.print("no disagreement")
        return
    console.out.print(f"the {len(rows)} gravest disagreements, one a sample:")
    for row in rows:
        words = ["qibox", "show", run, row["sample_id"], "--model", row["model"]]
        line = " ".join(shlex.quote(printable(word)) for word in words)
        said = (
            f"{_said(row['safe'], row['score'])} by {audit.judge}, "
            f"{_said(row['other_safe'], row['other_score'])} by {audit.other}"
        )
        console.out.print(
            f"{line}  # k {row['k']}: {said}", highlight=False, markup=False, soft_wrap=True
        )


def _said(safe: bool | None, score: float) -> str:
    word = {True: "safe ", False: "unsafe ", None: ""}[safe]
    return f"{word}{score:.1f}"
