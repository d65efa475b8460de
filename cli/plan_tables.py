"""A plan in the terminal: hours by step, answers by model, disk, the box, what a budget takes."""

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from qibox.cli import console
from qibox.cli.cells import printable

if TYPE_CHECKING:
    from qibox.cli.plan import Told
    from qibox.forecast.whole import Whole


def print_plan(told: "Told") -> None:
    """Print what the whole job would take."""
    from qibox.forecast.whole import whole_job
    from qibox.scoring.space import size

    whole = whole_job(told.job)
    console.out.print(_steps(told, whole))
    console.out.print(_answers(told))
    gpu = f", {whole.gpu_hours:,.1f} GPU-hours" if whole.gpu_hours else ""
    begin = f", {_time(whole.start_hours)} of it to begin"
    seconds = f" ({whole.hours * 3600:,.0f} s)"
    _say(f"in all: {_time(whole.hours)}{seconds}{begin}{gpu}; {size(told.disk)} of disk")
    if told.box is not None:
        box, samples = told.box, told.job.samples
        _say(
            f"the box would let {box.expected:,} of {samples:,} samples through "
            f"[{box.low:,}, {box.high:,}]: {box.passed} of {box.drawn} did"
        )
    if told.budget is not None:
        _tell_budget(told, whole, told.budget)


def _tell_budget(told: "Told", whole: "Whole", budget: float) -> None:
    from qibox.forecast.whole import remedies

    if whole.hours <= budget:
        _say(f"that is within {budget:g} hours")
        return
    found = list(remedies(told.job, budget))
    _say(f"to stay within {budget:g} hours:" if found else f"nothing leads within {budget:g} hours")
    for remedy in found:
        _say(f"  {remedy.what}: {_time(remedy.hours)}")


def _steps(told: "Told", whole: "Whole") -> Table:
    title = f"{told.job.samples:,} samples, measured on {told.drawn:,} drawn at random"
    table = Table(title=title, title_justify="left")
    table.add_column("step")
    for name in ("start", "a sample", "whole", "GPU-hours"):
        table.add_column(name, justify="right")
    for step, hours in zip(told.job.steps, whole.steps, strict=True):
        gpu = f"{hours.gpu_hours:,.2f}" if hours.gpu_hours else "-"
        row = (f"{step.start_s:.1f} s", f"{step.sample_s:.4f} s", _time(hours.hours), gpu)
        table.add_row(Text(printable(step.name)), *row)
    return table


def _answers(told: "Told") -> Table:
    table = Table(title="answers and verdicts of the whole", title_justify="left")
    table.add_column("")
    for name in ("calls", "tokens", "cut off", "failed"):
        table.add_column(name, justify="right")
    times = told.job.samples / told.drawn
    for each in (*told.models, *told.judges):
        tokens = "-" if each.tokens is None else f"{each.tokens * times:,.0f}"
        cut_off = "-" if each.cut_off is None else f"{each.cut_off:.1%}"
        calls = f"{each.calls * times:,.0f}"
        table.add_row(Text(printable(each.name)), calls, tokens, cut_off, f"{each.failed:.1%}")
    return table


def _time(hours: float) -> str:
    """Hours, or what is less of them in seconds or minutes."""
    if hours < 1 / 30:
        return f"{hours * 3600:.0f} s"
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:,.1f} h"


def _say(text: str) -> None:
    console.out.print(text, highlight=False, markup=False, soft_wrap=True)
