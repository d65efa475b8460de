"""`qibox status`: what of a run is done, and why anything is missing."""

import click

from qibox.run.directory import DEFAULT_RUN


@click.command(short_help="What of a run is done, and why anything is missing.")
@click.argument("run", default=DEFAULT_RUN)
def command(run: str) -> None:
    """Count a run's rows: in = scored + not scored, by stage and reason.

    Works while the run is being scored, on any runner; also on RUN/evaluations/BENCHMARK and
    RUN/profiles/POLICY.

    \b
    Example: qibox status runs/mini
    """
    from qibox.cli import console
    from qibox.cli.account import print_running, print_summary
    from qibox.run.directory import Run
    from qibox.scoring.lock import holder
    from qibox.scoring.plan import Job, make_plan
    from qibox.scoring.summary import summarise

    opened = Run.open_below(run)
    held_by = holder(opened.storage)
    if held_by is not None:
        console.err.print(f"being scored by {held_by}", highlight=False)
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
