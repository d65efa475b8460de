"""Print a choice: what let the samples through, its quotas, the mix before and after."""

from rich.table import Table
from rich.text import Text

from qibox.cli import console
from qibox.cli.cells import printable
from qibox.selection.choose import Choice
from qibox.selection.frame import Frame
from qibox.selection.notes import screening, steering, varied, warnings


def show(choice: Choice) -> None:
    """Print what let the samples through and the mix; warn of strata that are short or starved."""
    for b in choice.boxes:
        console.out.print(
            f"{printable(b.stratum)}: {b.box.q_low:g} ≤ quality ≤ {b.box.q_high:g}, "
            f"instability ≥ {b.box.u_min:g}",
            highlight=False,
            markup=False,
        )
    told = () if choice.augment is None else varied(choice.augment)
    for sentence in (*steering(choice), *told, *screening(choice)):
        console.out.print(printable(sentence), highlight=False, markup=False, soft_wrap=True)
    if choice.request.frame is not None:
        console.out.print(_frame_table(choice, choice.request.frame))
    console.out.print(_mix_table(choice))
    for warning in warnings(choice):
        sentence = printable(f"Warning: {warning}")
        console.err.print(sentence, style="yellow", highlight=False, markup=False, soft_wrap=True)


def _frame_table(choice: Choice, frame: Frame) -> Table:
    table = Table(title=f"{sum(row.wanted for row in choice.quotas)} samples by quota")
    for column in frame.stratify:
        table.add_column(column)
    for heading in ("pool", "wanted", "available", "chosen"):
        table.add_column(heading, justify="right")
    for row in choice.quotas:
        counts = (row.pool, row.wanted, row.available, row.chosen)
        style = "yellow" if row.missing else None
        table.add_row(*map(_text, row.values), *map(str, counts), style=style)
    return table


def _mix_table(choice: Choice) -> Table:
    table = Table(title=f"{len(choice.chosen)} of {choice.scored} scored samples")
    for heading in ("", "", "pool", "share", "selection", "share"):
        table.add_column(heading, justify="right" if heading else "left")
    last = ""
    for row in choice.mix:
        if row.dimension != last and last:
            table.add_section()
        table.add_row(
            row.dimension if row.dimension != last else "",
            _text(row.value),
            str(row.before),
            f"{row.share_before:.1%}",
            str(row.after),
            f"{row.share_after:.1%}",
            style="yellow" if row.starved else None,
        )
        last = row.dimension
    return table


def _text(value: str) -> Text:
    return Text(printable(value))  # it is what a pool holds, and may look like markup
