"""`qibox clean`: what a run takes on its storage, and what of it may go."""

from typing import TYPE_CHECKING

import click

from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.run.directory import Run
    from qibox.scoring.housekeeping import Removal


@click.command(short_help="Show what a run takes by part, and remove what may go.")
@click.argument("run", default=DEFAULT_RUN)
@click.option("--outdated", is_flag=True, help="What was set aside under outdated/.")
@click.option("--checkpoints", is_flag=True, help="Trainings that were not ended.")
@click.option("--model", "models", multiple=True, help="A model's responses, and their judgments.")
@click.option("--judge", "judges", multiple=True, help="A judge's judgments of the panel.")
@click.option(
    "--evaluation", "evaluations", multiple=True, help="Policies' answers to this benchmark."
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and stop.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(
    run: str,
    outdated: bool,
    checkpoints: bool,
    models: tuple[str, ...],
    judges: tuple[str, ...],
    evaluations: tuple[str, ...],
    dry_run: bool,
    yes: bool,
) -> None:
    """Show the sizes of RUN's parts; then, once you agree, remove what was named.

    Where nothing is named, what was set aside under outdated/ and the checkpoints of trainings that
    were not ended go. The pool, selections and trained policies always stay. Nothing is removed
    while another command writes the run.

    \b
    Examples:
      qibox clean runs/mini
      qibox clean runs/mini --judge grm --dry-run
    """
    from qibox.cli import console
    from qibox.errors import QiboxError
    from qibox.run.directory import Run
    from qibox.scoring.housekeeping import Wanted, removals, remove
    from qibox.scoring.lock import holder
    from qibox.scoring.space import size

    opened = Run.open(run)
    wanted = Wanted(outdated, checkpoints, models, judges, evaluations)
    these = removals(opened, wanted)
    _print_parts(opened, run)
    if not these:
        console.out.print("nothing to remove")
        return
    _print_removals(these)
    if dry_run:
        return
    if (by := holder(opened.storage)) is not None:
        raise QiboxError(f"{run} is being written by {by}: nothing was removed")
    total = size(sum(each.bytes for each in these))
    if not yes and not click.confirm(f"remove {total}?", err=True):
        console.err.print("nothing was removed")
        return
    remove(opened, these)
    console.err.print(f"{total} removed", highlight=False)


def _print_parts(opened: "Run", run: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    from qibox.cli import console
    from qibox.scoring.housekeeping import parts_of
    from qibox.scoring.space import size

    parts = parts_of(opened.storage)
    total = size(sum(part.bytes for part in parts))
    table = Table(title=f"{escape(run)}: {total}", title_justify="left")
    table.add_column("part")
    for name in ("files", "size"):
        table.add_column(name, justify="right")
    for part in parts:
        table.add_row(escape(part.name), f"{part.files:,}", size(part.bytes))
    console.out.print(table)


def _print_removals(these: "list[Removal]") -> None:
    from qibox.cli import console
    from qibox.cli.flags import spelled
    from qibox.scoring.space import size

    console.out.print("to remove:")
    for each in these:
        files = "1 file" if each.files == 1 else f"{each.files:,} files"
        text = f"  {each.name} ({files}, {size(each.bytes)}): {spelled(each.then)}"
        console.out.print(text, highlight=False, markup=False, soft_wrap=True)
