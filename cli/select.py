"""`qibox select`: scores → selection."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from qibox.cli.values import COUNT, SEED
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.manifests.box import BoxManifest, Edge
    from qibox.run.directory import Run
    from qibox.selection.choose import Choice
    from qibox.selection.frame import Frame
    from qibox.selection.request import Request

STRATA = ["pool", "risk", "category", "source"]

BOX_OPTIONS = ("q_band", "u_min", "q_band_quantile", "u_min_quantile", "box", "rank", "limit")

FLAGS = {  # the option that sets each field of a request, where it is called otherwise
    "q_low": "--q-band",
    "q_high": "--q-band",
    "q_low.quantile": "--q-band-quantile",
    "q_high.quantile": "--q-band-quantile",
}


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
@click.option("--limit", type=COUNT, help="Keep at most this many.")
@click.option(
    "--rank",
    type=click.Choice(["instability", "random"]),
    help="Who goes first under a limit.  [default: instability]",
)
@click.option("--random", type=COUNT, metavar="N", help="No box: N scored samples at random.")
@click.option("--within", type=click.Choice(STRATA), help="Take quantiles and limit within strata.")
@click.option("--size", type=COUNT, metavar="N", help="Choose N, by quotas.")
@click.option(
    "--stratify",
    metavar="COLUMNS",
    help="Quotas over risk, category, source or severity; a,b: b in a.",
)
@click.option(
    "--quota",
    multiple=True,
    metavar="QUOTA",
    help="[COLUMN:] proportional, equal, sqrt, or VALUE=50% ….  [default: proportional]",
)
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Seed of what is drawn at random."
)
@click.option("--name", default="default", show_default=True, help="Name of the selection.")
@click.option("--overwrite", is_flag=True, help="Replace another selection of that name.")
@click.option("--dry-run", is_flag=True, help="Show what would be chosen; write nothing.")
@click.pass_context
def command(ctx: click.Context, /, run: str, dry_run: bool, overwrite: bool, **_: object) -> None:
    """Choose the samples of RUN whose quality lies in a band and whose instability is high enough.

    Writes RUN/selections/NAME: Parquet that datasets and TRL read, a dataset card, the lineage.
    Edges are compared with the scores as they are written; a sample without scores is never chosen.

    Quotas divide N samples over strata, each taking its first by rank. A rule counts the samples of
    the pool: proportional to them, to their square root, or equal. Numbers are rounded by largest
    remainders; what a stratum lacks is divided among those beside it in proportion to their quotas.

    \b
    Examples:
      qibox select runs/mini --q-band 4 8 --u-min 1.5 --limit 300
      qibox select --box mini --within risk --name stratified
      qibox select --random 200 --name control
      qibox select --u-min 1 --size 240 --stratify risk,category --name frame \\
          --quota "risk: implicit=50% explicit=25% none=25%" --quota "category: sqrt"
    """
    from qibox.cli import console
    from qibox.cli.choice import show
    from qibox.run.directory import Run
    from qibox.selection.choose import choose
    from qibox.selection.write import written_already

    opened = Run.open(run)
    request = make_request(ctx.params, opened)
    choice = choose(opened, request)
    if dry_run:
        show(choice)
        there = not overwrite and written_already(opened, choice)
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
    from qibox.selection.shard import ROWS_PER_FILE
    from qibox.selection.write import write_selection

    again = command_line(choice.request)
    if len(choice.chosen) <= ROWS_PER_FILE:
        return write_selection(run, choice, overwrite, command=again)
    with counting("writing", len(choice.chosen)) as advance:
        return write_selection(run, choice, overwrite, lambda rows: advance(rows, ""), again)


def make_request(options: dict[str, object], run: "Run") -> "Request":
    """Turn the options into a request.

    Raises:
        UsageError: options that exclude each other, or none on a pool without a box of its own.
    """
    from qibox.errors import UsageError
    from qibox.selection.request import at_random, by_box

    common = {key: options[key] for key in ("name", "within", "seed")}
    common["frame"] = frame_of(options)
    given = [name for name in (*BOX_OPTIONS, "size") if options[name] is not None]
    random, size = options["random"], options["size"]
    if random is not None:
        if given == ["size"]:
            raise UsageError(f"--random {random} is the size already: leave out --size {size}")
        if given:
            flag = given[0].replace("_", "-")
            raise UsageError(f"--random draws without a box: leave out --{flag}")
        return at_random(int(str(random)), **common)  # type: ignore[arg-type]
    if size is not None and options["limit"] is not None:
        raise UsageError(
            f"--size {size} and --limit {options['limit']} are one number twice: give --size with "
            "quotas, --limit without"
        )
    for plain, quantile in (("q_band", "q_band_quantile"), ("u_min", "u_min_quantile")):
        if options[plain] is not None and options[quantile] is not None:
            flags = [f"--{name.replace('_', '-')}" for name in (plain, quantile)]
            raise UsageError(f"{flags[0]} and {flags[1]} are one edge twice: give one of them")
    return by_box(make_box(options, run), size=None if size is None else int(str(size)), **common)  # type: ignore[arg-type]


def frame_of(options: dict[str, object]) -> "Frame | None":
    """Read the quotas.

    Raises:
        UsageError: quotas without columns to stratify by, or a text that is none.
    """
    from qibox.errors import UsageError
    from qibox.selection.frame import make_frame

    stratify, quotas = options["stratify"], options["quota"]
    assert isinstance(quotas, tuple)
    if stratify is None:
        if quotas:
            raise UsageError(f"--quota '{quotas[0]}' has no strata: add --stratify COLUMNS")
        return None
    return make_frame(str(stratify), quotas)


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


def command_line(request: "Request") -> str:
    """The command that asks for the same; a box it cannot spell out is its manifest's."""
    words = ["qibox select RUN"]
    if request.random is not None:
        words.append(f"--random {request.random}")
    if request.box is not None:
        words += _box_words(request.box)
    if request.frame is not None:
        words += _frame_words(request.frame, request.size)
    if request.within != "pool":
        words.append(f"--within {request.within}")
    if request.seed:
        words.append(f"--seed {request.seed}")
    if request.name != "default":
        words.append(f"--name {request.name}")
    return " ".join(words)


def _box_words(box: "BoxManifest") -> Iterator[str]:
    low, high, least = box.q_low, box.q_high, box.u_min
    if low.value is not None and high.value is not None:
        yield f"--q-band {low.value:.15g} {high.value:.15g}"
    elif low.quantile is not None and high.quantile is not None:
        yield f"--q-band-quantile {low.quantile:.15g} {high.quantile:.15g}"
    else:
        yield f"--box {box.name}"
    if least.value is not None:
        yield f"--u-min {least.value:.15g}"
    else:
        yield f"--u-min-quantile {least.quantile:.15g}"
    if box.limit is not None:
        yield f"--limit {box.limit}"
    if box.rank != "instability":
        yield f"--rank {box.rank}"


def _frame_words(frame: "Frame", size: int | None) -> Iterator[str]:
    from qibox.selection.frame import quota_text

    if size is not None:
        yield f"--size {size}"
    yield f"--stratify {','.join(frame.stratify)}"
    for column, quota in frame.quotas().items():
        yield f"--quota {shlex.quote(quota_text(column, quota))}"
