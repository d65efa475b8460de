"""`qibox profile`: a policy answers the run's own pool."""

from typing import TYPE_CHECKING, Any

import click

from qibox.cli.profiling import profile_options, profiled
from qibox.cli.wave_options import tell_ends

if TYPE_CHECKING:
    from rich.table import Table


@click.command(short_help="Let a policy answer the run's own pool: where does it waver?")
@profile_options
@click.option("--judge", help="Judge's name or .yaml path.  [default: the run's first judge]")
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
    from qibox.evaluation.profile import profile_by_risk
    from qibox.run.directory import Run

    opened = Run.open(run)
    name, rated_by, summaries = profiled(opened, policy, judge, judge_at, quiet, options)
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
