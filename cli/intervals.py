"""`qibox intervals`: how sure the scores are, and who lies how surely in a box."""

from typing import TYPE_CHECKING, Any

import click

from qibox.cli.box_options import FLAGS, box_options
from qibox.cli.values import SEED
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from rich.table import Table

    from qibox.confidence.intervals import Intervals

__all__ = ["FLAGS", "command"]

SURE = (0.5, 0.8, 0.9, 0.95)  # P(in box) that are told of
KINDS = (".parquet", ".csv")


@click.command(short_help="How sure are the scores, and who lies how surely in the box?")
@click.argument("run", default=DEFAULT_RUN)
@box_options
@click.option("--within", metavar="COLUMNS", help="Take quantiles within strata; pool: in none.")
@click.option(
    "--resamples",
    type=click.IntRange(2, 100_000),
    default=400,
    show_default=True,
    help="Panels drawn anew.",
)
@click.option(
    "--agreement",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.9,
    show_default=True,
    metavar="P",
    help="How often more answers should leave a sample on its side of the box.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the resamples.")
@click.option("-o", "--output", metavar="FILE", help="Write a row a sample: .parquet or .csv.")
def command(run: str, output: str | None, agreement: float, **options: Any) -> None:
    """Resample the panel of RUN: models drawn anew, and each one's answers.

    Tells how wide the intervals of quality and instability are, how many samples lie how surely in
    the box, and how many answers of each model would have been enough for them to stay where they
    are. `qibox select --min-confidence P` keeps those of the box that lie surely in it. The same
    seed gives the same figures.

    \b
    Examples:
      qibox intervals runs/mini
      qibox intervals runs/mini --q-band 4 8 --u-min 1.5 -o intervals.parquet
    """
    from qibox.cli import console
    from qibox.cli.progress import counting
    from qibox.cli.select_request import make_box
    from qibox.confidence.intervals import ANSWERS, enough, intervals
    from qibox.errors import UsageError
    from qibox.run.directory import Run
    from qibox.selection.confident import edges_of
    from qibox.selection.request import by_box

    if output is not None and not output.endswith(KINDS):
        raise UsageError(f"-o takes a file that ends in {' or '.join(KINDS)}, not {output}")
    opened = Run.open(run)
    unasked = dict.fromkeys(("limit", "rank", "where", "weights"))
    request = by_box(make_box({**options, **unasked}, opened), within=options["within"])
    edges = edges_of(opened, request)
    with counting("resampling", _samples(opened)) as advance:
        found = intervals(
            opened, edges, options["resamples"], options["seed"], ANSWERS, lambda n: advance(n, "")
        )
    console.out.print(widths(found))
    console.out.print(sureness(found))
    console.out.print(answers(found))
    k = enough(found.agreement, agreement)
    asked = opened.manifest.panel.sampling.samples
    console.out.print(
        f"each model was asked {asked} times; {_enough(k, agreement)}", highlight=False
    )
    if output is not None:
        write(found, output)


def _samples(opened: Any) -> int:
    index = opened.pool_index()
    return index.samples if index is not None else 0


def _enough(k: int | None, agreement: float) -> str:
    side = f"for samples to stay on their side of the box {agreement:.0%} of the time"
    return f"no K that was tried is enough {side}" if k is None else f"{k} would be enough {side}"


def widths(found: "Intervals") -> "Table":
    """How wide the intervals are."""
    import numpy as np
    from rich.table import Table

    laid = Table(title=f"95% intervals of {len(found.rows):,} scored samples")
    for name in ("score", "mean", "median width", "widest tenth from"):
        laid.add_column(name, justify="left" if name == "score" else "right")
    for name in ("quality", "instability"):
        wide = found.rows[f"{name}_high"].to_numpy() - found.rows[f"{name}_low"].to_numpy()
        mean = float(np.mean(found.rows[name].to_numpy())) if len(wide) else float("nan")
        shown = [mean, *(np.nanpercentile(wide, (50, 90)) if len(wide) else (float("nan"),) * 2)]
        laid.add_row(name, *(f"{value:.2f}" for value in shown))
    return laid


def sureness(found: "Intervals") -> "Table":
    """How many samples lie how surely in the box."""
    from rich.table import Table

    inside = found.rows["in_box"].to_numpy()
    share = found.rows["p_in_box"].to_numpy()
    laid = Table(
        title="samples by P(in box)", caption="P(in box): share of resamples that lie in it"
    )
    for name in ("at least", "of those in the box", "of those outside"):
        laid.add_column(name, justify="right")
    for least in (0.0, *SURE):
        counts = [int(((share >= least) & side).sum()) for side in (inside, ~inside)]
        laid.add_row(f"{least:g}", *(f"{count:,}" for count in counts))
    return laid


def answers(found: "Intervals") -> "Table":
    """How often samples stay on their side of the box, by K."""
    from rich.table import Table

    laid = Table(title="answers of each model", caption="models as they are, answers drawn anew")
    laid.add_column("K", justify="right")
    laid.add_column("on the same side of the box", justify="right")
    for k, share in found.agreement.items():
        laid.add_row(str(k), f"{share:.1%}")
    return laid


def write(found: "Intervals", output: str) -> None:
    """Write a row a sample; the kind is the file's ending."""
    import pyarrow.csv
    import pyarrow.parquet

    if output.endswith(".csv"):
        pyarrow.csv.write_csv(found.rows, output)
    else:
        pyarrow.parquet.write_table(found.rows, output)
