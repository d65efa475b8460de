"""`qibox profile`: a policy answers the run's own pool."""

from typing import TYPE_CHECKING, Any

import click

from qibox.cli.values import COUNT
from qibox.cli.wave_options import (
    judge_at_option,
    policies_options,
    running_of,
    samples_option,
    tell_commits,
    tell_ends,
    waves_options,
    work_settings,
)
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from rich.table import Table


@click.command(short_help="Let a policy answer the run's own pool: where does it waver?")
@click.argument("run", default=DEFAULT_RUN)
@click.option(
    "--policy",
    default="builtin:policy",
    show_default=True,
    help="Name of a policy in RUN; or a directory, hub id, builtin:<name>, or a panel's .yaml.",
)
@click.option("--limit", type=COUNT, help="First N samples of the pool only.")
@samples_option
@click.option("--judge", help="Judge's name or .yaml path.  [default: the run's first judge]")
@judge_at_option
@policies_options
@waves_options
def command(
    run: str,
    policy: str,
    judge: str | None,
    judge_at: tuple[str, ...],
    quiet: bool,
    **options: Any,
) -> None:
    """Let a policy, such as the one to be trained, answer the samples that RUN was scored on.

    Its answers are no part of the scores. The view `profiles` has each sample's mean score, spread
    and share of unsafe answers. Stopped at any moment, the same command does what is missing.

    \b
    Example: qibox profile runs/mini --policy builtin:policy --limit 200
    """
    from qibox.cli import console
    from qibox.cli.wave_progress import ConsoleWatcher
    from qibox.evaluation.benchmarks import profile_job, questions_of
    from qibox.evaluation.profile import profile_by_risk
    from qibox.judges.chosen import chosen_judges
    from qibox.judges.placing import placed
    from qibox.pipelines.run import work_off
    from qibox.policies.contenders import contender_of
    from qibox.run.directory import Run

    opened = Run.open(run)
    chosen = chosen_judges([judge] if judge else [], opened.manifest.judges)
    questions = questions_of(
        opened, placed(chosen, judge_at), options["samples_per_model"], options["limit"]
    )
    watcher = ConsoleWatcher(quiet=quiet)
    with contender_of(opened, policy, running_of(options)) as contender:
        if not quiet:
            tell_commits([contender])
        summaries = work_off(
            opened.storage,
            lambda: [profile_job(opened, contender, questions)],
            watcher,
            work_settings(options),
            options["retry_failed"],
        )
    name, rated_by = contender.name, questions.judges[0].name
    console.out.print(table(profile_by_risk(opened, name, rated_by), name, rated_by))
    if not quiet:
        console.err.print(
            f"each sample: qibox sql {run} \"select * from profiles where policy = '{name}'\"",
            soft_wrap=True,
            highlight=False,
        )
    tell_ends(summaries, options)


def table(frame: Any, policy: str, judge: str) -> "Table":
    """Lay a profile out, a kind of risk a line."""
    from rich.markup import escape
    from rich.table import Table

    laid = Table(
        title=escape(f"{policy} on the run's pool, judge {judge}"),
        caption="spread: of a sample's scores; wavering: samples answered both safely and unsafely",
    )
    laid.add_column("risk")
    for name in ("samples", "mean score", "spread", "unsafe %", "wavering %"):
        laid.add_column(name, justify="right")
    for row in frame.to_dict("records"):
        laid.add_row(
            escape(row["risk"]),
            f"{row['samples']:,}",
            f"{row['mean']:.1f}",
            f"{row['spread']:.1f}",
            f"{100 * row['unsafe_share']:.0f}",
            f"{100 * row['wavering']:.0f}",
        )
    return laid
