"""`qibox value`: what a panel's scores are worth for one policy, before anybody trains it."""

from typing import TYPE_CHECKING, Any

import click

from qibox.cli.profiling import profile_options, profiled
from qibox.cli.wave_options import tell_ends

if TYPE_CHECKING:
    from rich.table import Table

    from qibox.trainee.value import Estimate, Value


@click.command(short_help="Do the panel's scores tell what a policy would learn from?")
@profile_options
@click.option("--recipe", metavar="R", help="Whose groups and reward.  [default: K as asked]")
def command(
    run: str,
    policy: str,
    recipe: str | None,
    judge_at: tuple[str, ...],
    quiet: bool,
    **options: Any,
) -> None:
    """Profile a policy on the pool of RUN, where it was not yet, and hold the panel against it.

    A group of a policy's answers that all have one reward teaches nothing. Tells how well each
    signal of the panel predicts which groups have spread (AUC, 0.5 is chance), which members answer
    as the policy does, and what share of groups would teach nothing under each selection.

    \b
    Example: qibox value runs/mini --policy builtin:policy --limit 200
    """
    from qibox.cli import console
    from qibox.manifests.load import load_manifest
    from qibox.manifests.recipe import RecipeManifest
    from qibox.run.directory import Run
    from qibox.selection.scored import require_scores
    from qibox.trainee.answers import answers
    from qibox.trainee.value import recommendation, value

    opened = Run.open(run)
    require_scores(opened)
    how = None if recipe is None else load_manifest(RecipeManifest, recipe)
    asked = options["samples_per_model"] or opened.manifest.panel.sampling.samples
    name, _, summaries = profiled(opened, policy, None, judge_at, quiet, options)
    known = answers(
        opened,
        name,
        how.samples_per_prompt if how else asked,
        how.reward if how else "structured",
        how is None or how.rollout.unsafe == "reflect",
    )
    found = value(opened, known)
    for table in (signals(found, name), kinship(found), selections(found)):
        console.out.print(table)
    console.out.print(recommendation(found), highlight=False, markup=False, soft_wrap=True)
    tell_ends(summaries, options)


def signals(found: "Value", policy: str) -> "Table":
    """How well each signal tells where groups have spread."""
    from rich.markup import escape
    from rich.table import Table

    laid = Table(
        title=escape(f"which groups of {policy} have spread: {found.samples:,} samples"),
        caption="AUC [95% interval over samples]; 0.5 is chance",
    )
    for heading in ("signal", "within kinds", "overall"):
        laid.add_column(heading, justify="left" if heading == "signal" else "right")
    for each in found.signals:
        laid.add_row(escape(each.name), _shown(each.within), _shown(each.overall))
    return laid


def kinship(found: "Value") -> "Table":
    """Which members answer as the policy does."""
    from rich.markup import escape
    from rich.table import Table

    laid = Table(title="members", caption="correlation of unsafe shares within kinds")
    laid.add_column("member")
    laid.add_column("with the policy", justify="right")
    laid.add_column("relative")
    for name, each in found.kinship.items():
        laid.add_row(escape(name), _shown(each), "yes" if name in found.relatives else "")
    return laid


def selections(found: "Value") -> "Table":
    """What share of groups would teach nothing."""
    from rich.markup import escape
    from rich.table import Table

    laid = Table(title="groups that teach nothing", caption="expected share")
    laid.add_column("selection")
    laid.add_column("samples", justify="right")
    laid.add_column("share", justify="right")
    for name, (samples, share) in found.selections.items():
        laid.add_row(escape(name), f"{samples:,}", f"{share:.0%}")
    return laid


def _shown(each: "Estimate") -> str:
    if each.value != each.value:
        return "–"
    return f"{each.value:.2f} [{each.low:.2f}, {each.high:.2f}]"
