"""`qibox status`: what of a run is done, and why anything is missing."""

from typing import TYPE_CHECKING

import click

from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.run.directory import Run


@click.command(short_help="What of a run is done, and why anything is missing.")
@click.argument("run", default=DEFAULT_RUN)
@click.option("--verify", is_flag=True, help="Read all of the run's files; name damaged ones.")
def command(run: str, verify: bool) -> None:
    """Count a run's rows: in = scored + not scored, by stage and reason.

    Works while the run is being scored, on any runner; also on RUN/evaluations/BENCHMARK and
    RUN/profiles/POLICY. Damaged files are named with the command that mends each, and the exit
    status is then 1.

    \b
    Examples:
      qibox status runs/mini
      qibox status runs/mini --verify
    """
    from qibox.cli import console
    from qibox.cli.flags import spelled
    from qibox.errors import QiboxError
    from qibox.run.directory import Run
    from qibox.run.kept_files import damaged_others
    from qibox.run.retrained import said_of_retrained
    from qibox.scoring.footers import damaged_tables
    from qibox.scoring.lock import holder

    opened = Run.open_below(run)
    held_by = holder(opened.storage)
    if held_by is not None:
        console.err.print(f"being scored by {held_by}", highlight=False)
    damaged = damaged_tables(opened.storage, through=verify)
    if verify:
        damaged |= damaged_others(opened.storage)
    said = [f"Damaged: {sentence}" for sentence in damaged.values()]
    said += [f"Note: {sentence}" for sentence in said_of_retrained(opened.storage, opened.home)]
    for sentence in said:
        console.err.print(spelled(sentence), highlight=False, markup=False, soft_wrap=True)
    _print_account(opened, run)
    if damaged:
        raise QiboxError(f"{len(damaged)} files of {run} are damaged: see above what mends each")
    if verify:
        console.out.print("every table and text holds what was written", highlight=False)


def _print_account(opened: "Run", run: str) -> None:
    from qibox.cli import console
    from qibox.cli.account import print_running, print_summary
    from qibox.scoring.plan import Job, make_plan
    from qibox.scoring.summary import summarise

    index = opened.pool_index()
    if index is None:
        console.err.print(
            "the pool has not been read to its end yet; the same command goes on with it"
        )
        return
    job = Job(opened, index)
    plan = make_plan(job)
    print_running(opened.storage, plan)
    print_summary(summarise(job, plan), run)
