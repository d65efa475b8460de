"""`qibox audit`: two judges of the same answers compared."""

from typing import TYPE_CHECKING

import click

from qibox.cli.values import COUNT
from qibox.cli.wave_options import judge_at_option
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
@click.option(
    "--twice", type=COUNT, metavar="N", help="Ask both again about N answers, for their noise."
)
@click.option(
    "--reflections", metavar="POLICY", help="Audit the reflections of a training instead."
)
@click.option("--judge", help="Of --reflections: the second judge, as RUN has it or shipped.")
@judge_at_option
@click.option("--trust-remote-code", is_flag=True, help="Let models run code of their own.")
def command(
    run: str,
    judges: tuple[str, str] | None,
    selection: str | None,
    twice: int | None,
    reflections: str | None,
    judge: str | None,
    judge_at: tuple[str, ...],
    trust_remote_code: bool,
) -> None:
    """Compare what two judges of RUN, or of RUN/evaluations/BENCHMARK, say of the same answers.

    Of each flag accuracy, Cohen's kappa and Krippendorff's alpha, of scores errors and rank
    correlations, over all answers and by kind of risk, category, model and length; how Q, U and
    the samples in a selection's box change under B; B's leniency, and how its scores go with length
    and refusal, as A's do not, with 95 % intervals; the 20 gravest disagreements. Where A is people
    or the truth, these are B's errors. Table, figure and Parquet are kept in
    RUN/audits, and the view `audits` has the numbers.

    With --twice both judges rate N answers again under another quoting code and in another order:
    which share of U is their noise and, of one that compares, what being shown first is worth.

    With --reflections the second judge reads the unsafe drafts of a training: how many of their
    corrections it calls safe too, whether reflections name the right cause, how varied they are.

    `qibox judge` brings in a second judge or people's labels.

    \b
    Examples:
      qibox audit runs/mini --judges oracle hash
      qibox audit runs/mini --judges oracle hash --twice 500
      qibox audit runs/mini --reflections default --judge oracle
      qibox sql "select * from audits where statistic = 'kappa'"
    """
    from qibox.errors import UsageError
    from qibox.run.directory import Run

    opened = Run.open_below(run)
    if reflections is not None:
        for flag, given in (("--judges", judges), ("--selection", selection), ("--twice", twice)):
            if given is not None:
                raise UsageError(f"{flag} is of two judges' audit: leave it out of --reflections")
        _reflections(opened, reflections, judge, judge_at, trust_remote_code)
        return
    if judge is not None or judge_at:
        flag = "--judge" if judge is not None else "--judge-at"
        raise UsageError(f"{flag} is of --reflections POLICY: two judges are --judges A B")
    _two(opened, run, judges or (), selection, twice, trust_remote_code)


def _two(
    opened: "Run",
    run: str,
    names: tuple[str, ...],
    selection: str | None,
    twice: int | None,
    trust_remote_code: bool,
) -> None:
    """Compare two judges, asked again if so wanted; keep and print it."""
    from qibox.audit.noise import rows_again
    from qibox.audit.report import audit, keep_audit, two_judges
    from qibox.cli.audit_tables import print_audit

    pair = two_judges(opened, names)
    again = []
    for each in pair if twice is not None else ():
        assert twice is not None
        again += rows_again(opened, each, twice, allow_remote_code=trust_remote_code)
    made = audit(opened, *pair, selection or _default_selection(opened), again)
    folder = keep_audit(opened, made)
    print_audit(made, run)
    _tell(f"table, figure and disagreements in {opened.storage.url}/{folder}")


def _reflections(
    opened: "Run", policy: str, name: str | None, judge_at: tuple[str, ...], trust: bool
) -> None:
    """Audit a training's reflections; keep and print it."""
    from qibox.audit.reflections import audit_reflections, keep_reflections
    from qibox.cli.audit_tables import print_reflections
    from qibox.errors import UsageError
    from qibox.judges.chosen import chosen_judges
    from qibox.judges.load import resolve_judge
    from qibox.judges.placing import placed

    if name is None:
        raise UsageError("whose word on the reflections? Name a second judge with --judge NAME")
    (judge,) = placed(chosen_judges([name], opened.manifest.judges), judge_at)
    made = audit_reflections(opened, policy, resolve_judge(judge), allow_remote_code=trust)
    folder = keep_reflections(opened, made)
    print_reflections(made)
    _tell(f"tables in {opened.storage.url}/{folder}")


def _tell(text: str) -> None:
    from qibox.cli import console

    console.out.print(text, highlight=False, markup=False, soft_wrap=True)


def _default_selection(run: "Run") -> str | None:
    from qibox.run.finished import selection_names

    there = run.manifest.scored and "default" in selection_names(run.storage)
    return "default" if there else None
