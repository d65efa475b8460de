"""`qibox audit`: two judges of the same answers compared."""

from typing import TYPE_CHECKING

import click

from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.run.directory import Run


@click.command(short_help="Compare two judges: agreement, the box under the other, biases.")
@click.argument("run", default=DEFAULT_RUN)
@click.option(
    "--judges",
    nargs=2,
    metavar="A B",
    help="Whom to compare, B with A; people are one too.  [default: the run's first two]",
)
@click.option(
    "--selection", help="Whose box is looked at under B.  [default: default, if it is there]"
)
def command(run: str, judges: tuple[str, str] | None, selection: str | None) -> None:
    """Compare what two judges of RUN, or of RUN/evaluations/BENCHMARK, say of the same answers.

    Of each flag accuracy, Cohen's kappa and Krippendorff's alpha, of scores errors and rank
    correlations, over all answers and by kind of risk, category, model and length; how Q, U and
    the samples in a selection's box change under B; B's leniency, and how its scores go with length
    and refusal, as A's do not, with 95 % intervals; the 20 gravest disagreements. Where A is people
    or the truth, these are B's errors. Table, figure and Parquet are kept in
    RUN/audits, and the view `audits` has the numbers.

    `qibox judge` brings in a second judge or people's labels.

    \b
    Examples:
      qibox audit runs/mini --judges oracle hash
      qibox sql "select * from audits where statistic = 'kappa'"
    """
    from qibox.audit.report import audit, keep_audit, two_judges
    from qibox.cli import console
    from qibox.cli.audit_tables import print_audit
    from qibox.run.directory import Run

    opened = Run.open_below(run)
    first, second = two_judges(opened, judges or ())
    made = audit(opened, first, second, selection or _default_selection(opened))
    folder = keep_audit(opened, made)
    print_audit(made, run)
    console.out.print(
        f"table, figure and disagreements in {opened.storage.url}/{folder}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _default_selection(run: "Run") -> str | None:
    from qibox.run.finished import selection_names

    there = run.manifest.scored and "default" in selection_names(run.storage)
    return "default" if there else None
