"""`qibox select`: scores → selection."""

from typing import TYPE_CHECKING

import click

from qibox.cli.box_options import FLAGS, box_options
from qibox.cli.select_watch import MANY, watching
from qibox.cli.values import COUNT, SEED
from qibox.cli.wave_options import judge_at_option
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.run.directory import Run
    from qibox.selection.choose import Choice

__all__ = ["FLAGS", "command"]

RANKS = ["instability", "safety-spread", "trainee", "coverage", "random"]


@click.command(short_help="Choose the samples that a box lets through, as a training shard.")
@click.argument("run", default=DEFAULT_RUN)
@box_options
@click.option("--limit", type=COUNT, help="Keep at most this many.")
@click.option(
    "--rank",
    type=click.Choice(RANKS),
    help="Who goes first under a limit or quota.  [default: instability]",
)
@click.option(
    "--weights", metavar="SQL", help="Rank by the largest value of this, or draw in proportion."
)
@click.option(
    "--policy", metavar="P", help="Whose profile counts.  [default: the only one profiled]"
)
@click.option(
    "--embeddings",
    metavar="FILE",
    help="Cover these vectors: Parquet, sample_id and one column of lists.",
)
@click.option("--where", metavar="SQL", help="Choose from samples that meet this alone.")
@click.option("--random", type=COUNT, metavar="N", help="No box: N scored samples at random.")
@click.option(
    "--within", metavar="COLUMNS", help="Take quantiles and limit within strata; pool: in none."
)
@click.option("--size", type=COUNT, metavar="N", help="Choose N, by quotas.")
@click.option("--for-recipe", metavar="R", help="As many as this recipe has prompt slots.")
@click.option(
    "--stratify",
    metavar="COLUMNS",
    help="Quotas over risk, category, source, severity or risky; a,b: b in a; a+b: pairs.",
)
@click.option(
    "--quota",
    multiple=True,
    metavar="QUOTA",
    help="[COLUMN:] proportional, equal, sqrt, or VALUE=50% ….  [default: proportional]",
)
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="P",
    help="Only who lies in the box in so many resamples; see `qibox intervals`.",
)
@click.option(
    "--twins",
    type=click.FloatRange(0, 100, min_open=True, max_open=True),
    metavar="PERCENT",
    help="So much of it harmless samples like the chosen risky ones.",
)
@click.option(
    "--augment",
    type=COUNT,
    metavar="N",
    help="So many more pictures of each: cropped, lit otherwise, re-encoded.",
)
@click.option(
    "--paraphrases",
    metavar="FILE",
    help="Other wordings of questions as rows: CSV or Parquet, sample_id and question.",
)
@click.option(
    "--rephrase",
    metavar="R",
    help="Ask for other wordings: a rephraser's name or .yaml, ENGINE/MODEL, or openai/MODEL@URL.",
)
@judge_at_option
@click.option("--trust-remote-code", is_flag=True, help="Let models run code of their own.")
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Seed of what is drawn at random."
)
@click.option("--name", default="default", show_default=True, help="Name of the selection.")
@click.option(
    "--allow-overlap", is_flag=True, help="Keep samples that are like a benchmark's, and list them."
)
@click.option("--overwrite", is_flag=True, help="Replace another selection of that name.")
@click.option("--dry-run", is_flag=True, help="Show what would be chosen; write nothing.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    run: str,
    dry_run: bool,
    overwrite: bool,
    allow_overlap: bool,
    judge_at: tuple[str, ...],
    trust_remote_code: bool,
    **_: object,
) -> None:
    """Choose the samples of RUN whose quality lies in a band and whose instability is high enough.

    Writes RUN/selections/NAME: Parquet that datasets and TRL read, a dataset card, the lineage.
    Edges are compared with the scores as they are written; a sample without scores is never chosen.

    Quotas divide N samples over strata, each taking its first by rank. A rule counts the samples of
    the pool: proportional to them, to their square root, or equal. Numbers are rounded by largest
    remainders; what a stratum lacks is divided among those beside it in proportion to their quotas.
    Where kinds of risk are unknown, risky (yes, no) is whether any panel answer was unsafe.

    Coverage takes each next sample as far as can be from all before it: by letters of the question
    and colours of the picture, or by the vectors of --embeddings.

    Variants (--augment, --paraphrases, --rephrase) are rows beside their sample's, to be trained on
    alone: no size, limit or quota counts them. Of the wordings that a rephraser gives, those are
    taken of which the run's first judge (or the one that the rephraser's manifest names) says that
    they ask the same; the others are listed with the reason.

    Expressions see each sample's columns in pool and scores (also safety_spread and risky), and of
    a profile trainee_mean, trainee_unsafe and trainee_spread. Twins share picture or question with
    a chosen risky sample and need not lie in the box.

    \b
    Examples:
      qibox select runs/mini --q-band 4 8 --u-min 1.5 --limit 300
      qibox select --box mini --within risk --name stratified
      qibox select --random 200 --name control
      qibox select --u-min 1 --size 240 --stratify risk,category --name frame \\
          --quota "risk: implicit=50% explicit=25% none=25%" --quota "category: sqrt"
      qibox select --rank coverage --limit 200 --name spread
      qibox select --rank trainee --for-recipe mini --twins 40 --name hard \\
          --where "severity >= 2 or risk = 'none'" --q-band 1 9
    """
    from qibox.augment.settled import Asking, find_rephraser
    from qibox.cli import console
    from qibox.cli.choice import show
    from qibox.cli.select_request import make_request
    from qibox.run.directory import Run
    from qibox.selection.screen import screened
    from qibox.selection.write import written_already

    opened = Run.open(run)
    request = make_request(ctx.params, opened)
    asking = None if dry_run else Asking(judge_at, trust_remote_code)
    if request.rephrase is not None:
        find_rephraser(request.rephrase)  # told of before anything is read
    with watching(opened) as (looked, asked):
        choice = screened(
            opened,
            request,
            allow_overlap=allow_overlap,
            keep=not dry_run,
            told=looked,
            asking=asking,
            rephrasing=asked,
        )
    if choice.embedded is not None and (count := choice.embedded[0]) >= MANY:
        rate = count / max(choice.embedded[1], 1e-9)
        console.err.print(f"embedded {count:,} samples, {rate:,.0f} a second", highlight=False)
    if dry_run:
        show(choice)
        if request.rephrase is not None:
            console.err.print(f"would ask {request.rephrase} for other wordings", highlight=False)
        known = request.rephrase is None  # else what it holds turns out by asking
        there = known and not overwrite and written_already(opened, choice)
        verb = "is there already:" if there else "would write"
    else:
        written = write(opened, choice, overwrite)
        show(choice)
        verb = "wrote" if written else "is there already:"
    judge = opened.manifest.judges[0].name
    console.out.print(f"scores by judge {judge}", highlight=False, markup=False)
    where = f"{opened.storage.url}/selections/{request.name}"
    console.out.print(f"{verb} {where}", highlight=False, markup=False, soft_wrap=True)


def write(run: "Run", choice: "Choice", overwrite: bool) -> bool:
    """Write a choice, showing how far it is where that takes more than one file."""
    from qibox.cli.progress import counting
    from qibox.cli.select_typed import command_line
    from qibox.selection.shard import ROWS_PER_FILE
    from qibox.selection.write import write_selection

    allowed = choice.screening is not None and choice.screening.allow_overlap
    again = command_line(choice.request, allow_overlap=allowed)
    if len(choice.chosen) <= ROWS_PER_FILE:
        return write_selection(run, choice, overwrite, command=again)
    with counting("writing", len(choice.chosen)) as advance:
        return write_selection(run, choice, overwrite, lambda rows: advance(rows, ""), again)
