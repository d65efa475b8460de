"""`qibox plot`: a run's tables as a figure."""

import click

from qibox.run.directory import DEFAULT_RUN

KINDS = (
    "box",
    "scores",
    "models",
    "training",
    "evaluation",
    "audit",
)  # as qibox.figures.kinds has them


@click.command(short_help="Draw a run: its box, models, training or evaluation, as PNG or SVG.")
@click.argument("arguments", nargs=-1, required=True, metavar="[RUN] KIND")
@click.option("-o", "--out", metavar="FILE", help="Where to: .png or .svg.  [default: KIND.png]")
@click.option("--selection", help="Of box and scores: whose box.  [default: default, if there]")
@click.option(
    "--policy", "policies", multiple=True, help="Of training and evaluation; may be repeated."
)
@click.option(
    "--judge", help="Of models, evaluation and audit.  [default: the run's first, and all]"
)
def command(
    arguments: tuple[str, ...],
    out: str | None,
    selection: str | None,
    policies: tuple[str, ...],
    judge: str | None,
) -> None:
    """Draw one KIND of figure of RUN.

    box: the box on quality and instability, and the mix before and after. scores: histograms of Q,
    U, D and V. models: who is unsafe where, and how each answered. training: curves by step, of one
    or several policies. evaluation: rates with intervals, before and after. audit: two judges
    compared.

    The same tables give the same bytes.

    \b
    Examples:
      qibox plot box
      qibox plot runs/mini training --policy default -o curves.svg
    """
    from qibox.cli import console
    from qibox.figures.kinds import Shown, figure
    from qibox.figures.style import form_of, image
    from qibox.run.directory import Run

    run, kind = split_arguments(arguments)
    file = out or f"{kind}.png"
    form = form_of(file)
    shown = Shown(selection, policies, judge)
    write(file, image(figure(Run.open(run), kind, shown), form))
    console.out.print(f"wrote {file}", highlight=False, markup=False, soft_wrap=True)


def split_arguments(arguments: tuple[str, ...]) -> tuple[str, str]:
    """Tell RUN from KIND, which comes last.

    Raises:
        UsageError: more than two arguments, or no such kind.
    """
    from qibox.errors import UsageError

    if len(arguments) > 2:
        raise UsageError(f"{len(arguments)} arguments were given: RUN and KIND are allowed")
    kind = arguments[-1]
    if kind not in KINDS:
        raise UsageError(f"no figure named '{kind}': there are {', '.join(KINDS)}")
    return (arguments[0] if len(arguments) == 2 else DEFAULT_RUN), kind


def write(file: str, content: bytes, flag: str = "-o") -> None:
    """Write a file of the person's own, named by a flag.

    Raises:
        UsageError: it cannot be written there.
    """
    from pathlib import Path

    from qibox.errors import UsageError

    try:
        Path(file).write_bytes(content)
    except OSError as error:
        raise UsageError(f"{flag} {file} cannot be written: {error.strerror}") from error
