"""`qibox select`: scores → selection."""

from typing import TYPE_CHECKING

import click

from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.manifests.box import BoxManifest, Edge
    from qibox.run.directory import Run
    from qibox.selection.choose import Choice
    from qibox.selection.request import Request

STRATA = ["pool", "risk", "category", "source"]


@click.command(short_help="Choose the samples that a box lets through, as a training shard.")
@click.argument("run", default=DEFAULT_RUN)
@click.option(
    "--q-band", nargs=2, type=float, metavar="LO HI", help="Band on quality, edges included."
)
@click.option("--u-min", type=float, metavar="X", help="Minimum of instability, included.")
@click.option(
    "--q-band-quantile",
    nargs=2,
    type=click.FloatRange(0, 1),
    metavar="LO HI",
    help="The band as quantiles of the written quality.",
)
@click.option(
    "--u-min-quantile",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="The minimum as a quantile of the written instability.",
)
@click.option("--box", help="Box's name or .yaml path.  [default: mini, on the miniature pool]")
@click.option("--limit", type=click.IntRange(min=1), help="Keep at most this many.")
@click.option(
    "--rank",
    type=click.Choice(["instability", "random"]),
    help="Who goes first under a limit.  [default: instability]",
)
@click.option(
    "--random", type=click.IntRange(min=1), metavar="N", help="No box: N scored samples at random."
)
@click.option("--within", type=click.Choice(STRATA), help="Take quantiles and limit within strata.")
@click.option("--seed", default=0, show_default=True, help="Seed of what is drawn at random.")
@click.option("--name", default="default", show_default=True, help="Name of the selection.")
@click.option("--overwrite", is_flag=True, help="Replace another selection of that name.")
@click.option("--dry-run", is_flag=True, help="Show what would be chosen; write nothing.")
@click.pass_context
def command(ctx: click.Context, /, run: str, dry_run: bool, overwrite: bool, **_: object) -> None:
    """Choose the samples of RUN whose quality lies in a band and whose instability is high enough.

    Writes RUN/selections/NAME: Parquet that datasets and TRL read, a dataset card, the lineage.
    Edges are compared with the scores as they are written; a sample without scores is never chosen.

    \b
    Examples:
      qibox select runs/mini --q-band 4 8 --u-min 1.5 --limit 300
      qibox select --box mini --within risk --name stratified
      qibox select --random 200 --name control
    """
    from qibox.cli import console
    from qibox.run.directory import Run
    from qibox.selection.choose import choose
    from qibox.selection.write import written_already

    opened = Run.open(run)
    request = make_request(ctx.params, opened)
    choice = choose(opened, request)
    where = f"{opened.storage.url}/selections/{request.name}"
    if dry_run:
        show(choice)
        there = not overwrite and written_already(opened, choice)
        verb = "is there already:" if there else "would write"
    else:
        written = write(opened, choice, overwrite)
        show(choice)
        verb = "wrote" if written else "is there already:"
    console.out.print(f"{verb} {where}", highlight=False, markup=False, soft_wrap=True)


def write(run: "Run", choice: "Choice", overwrite: bool) -> bool:
    """Write a choice, showing how far it is where that takes more than one file."""
    from qibox.cli.progress import counting
    from qibox.selection.shard import ROWS_PER_FILE
    from qibox.selection.write import write_selection

    if len(choice.chosen) <= ROWS_PER_FILE:
        return write_selection(run, choice, overwrite)
    with counting("writing", len(choice.chosen)) as advance:
        return write_selection(run, choice, overwrite, lambda rows: advance(rows, ""))


def make_request(options: dict[str, object], run: "Run") -> "Request":
    """Turn the options into a request.

    Raises:
        UsageError: options that exclude each other, or none on a pool without a box of its own.
    """
    from qibox.errors import UsageError
    from qibox.selection.request import at_random, by_box

    common = {key: options[key] for key in ("name", "within", "seed")}
    edges = [
        name
        for name in ("q_band", "u_min", "q_band_quantile", "u_min_quantile", "box", "rank", "limit")
        if options[name] is not None
    ]
    random = options["random"]
    if random is not None:
        if edges:
            flag = edges[0].replace("_", "-")
            raise UsageError(f"--random draws without a box: leave out --{flag}")
        return at_random(int(str(random)), **common)  # type: ignore[arg-type]
    for plain, quantile in (("q_band", "q_band_quantile"), ("u_min", "u_min_quantile")):
        if options[plain] is not None and options[quantile] is not None:
            flags = [f"--{name.replace('_', '-')}" for name in (plain, quantile)]
            raise UsageError(f"{flags[0]} and {flags[1]} are one edge twice: give one of them")
    return by_box(make_box(options, run), **common)  # type: ignore[arg-type]


def make_box(options: dict[str, object], run: "Run") -> "BoxManifest":
    """Take the named box, or every scored sample, and put the given edges over it."""
    from qibox.errors import UsageError
    from qibox.manifests.box import BoxManifest
    from qibox.manifests.load import load_manifest
    from qibox.selection.request import OPEN_BOX

    changes: dict[str, object] = {}
    for option, field in (("q_band", "value"), ("q_band_quantile", "quantile")):
        band = options[option]
        if isinstance(band, tuple):
            changes["q_low"] = _edge(option, field, band[0])
            changes["q_high"] = _edge(option, field, band[1])
    for option, field in (("u_min", "value"), ("u_min_quantile", "quantile")):
        if options[option] is not None:
            changes["u_min"] = _edge(option, field, options[option])
    name = options["box"]
    if name is None and not changes:
        if run.manifest.pool.name != "mini":
            raise UsageError(
                "no box is given: name one with --box, or give --q-band LO HI and --u-min X"
            )
        name = "mini"
    for option in ("limit", "rank"):
        if options[option] is not None:
            changes[option] = options[option]
    base = OPEN_BOX if name is None else load_manifest(BoxManifest, str(name))
    return base.model_copy(update=changes)


def _edge(option: str, field: str, value: object) -> "Edge":
    """One edge; what is no number (nan, inf) is refused by its option's name."""
    from pydantic import ValidationError

    from qibox.errors import UsageError
    from qibox.manifests.box import Edge

    try:
        return Edge.model_validate({field: value})
    except ValidationError as error:
        flag = f"--{option.replace('_', '-')}"
        raise UsageError(
            f"{flag} takes finite numbers, not {value}: give an edge's {field}"
        ) from error


def show(choice: "Choice") -> None:
    """Print what let the samples through, the mix before and after, and what is starved."""
    from rich.table import Table

    from qibox.cli import console
    from qibox.selection.mix import starved

    for b in choice.boxes:
        console.out.print(
            f"{b.stratum}: {b.box.q_low:g} ≤ quality ≤ {b.box.q_high:g}, "
            f"instability ≥ {b.box.u_min:g}",
            highlight=False,
        )
    table = Table(title=f"{len(choice.chosen)} of {choice.scored} scored samples")
    for heading in ("", "", "pool", "share", "selection", "share"):
        table.add_column(heading, justify="right" if heading else "left")
    last = ""
    for row in choice.mix:
        if row.dimension != last and last:
            table.add_section()
        table.add_row(
            row.dimension if row.dimension != last else "",
            row.value,
            str(row.before),
            f"{row.share_before:.1%}",
            str(row.after),
            f"{row.share_after:.1%}",
            style="yellow" if row.starved else None,
        )
        last = row.dimension
    console.out.print(table)
    for warning in starved(choice.mix):
        console.err.print(f"Warning: {warning}", style="yellow", highlight=False, markup=False)
