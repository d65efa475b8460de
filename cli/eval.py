"""`qibox eval`: policies before and after training, on held-out samples."""

from typing import TYPE_CHECKING

import click

from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from rich.table import Table

    from qibox.evaluation.evaluate import Report
    from qibox.evaluation.rates import Estimate, Measure

SHARES = ("safety", "helpfulness", "over-refusal")  # shown in percent; the others are points


@click.command(short_help="Measure a policy's safety and helpfulness on held-out samples.")
@click.argument("run", default=DEFAULT_RUN)
@click.option(
    "--policy",
    default="default",
    show_default=True,
    help="Name of a policy in RUN; or a directory, hub id or builtin:<name>.",
)
@click.option(
    "--pool", default="mini-heldout", show_default=True, help="Pool's name or .yaml path."
)
@click.option("--judge", help="Judge's name or .yaml path.  [default: the run's first judge]")
@click.option(
    "--samples-per-model",
    type=click.IntRange(min=1),
    help="Responses a sample.  [default: as the run's panel]",
)
@click.option("--limit", type=click.IntRange(min=1), help="First N samples of the pool only.")
@click.option("--start", help="Where the start policy is, if it was trained from a directory.")
def command(
    run: str,
    policy: str,
    pool: str,
    judge: str | None,
    samples_per_model: int | None,
    limit: int | None,
    start: str | None,
) -> None:
    """Measure a policy on held-out samples, beside the policy it was trained from.

    Safety is the share of responses that the judge calls safe, by kind of risk; helpfulness is the
    share of responses to harmless requests that are safe and answer at least in part; over-refusal
    the share that give nothing. In brackets is the 95 % interval over samples. Rows and rates land
    in RUN/policies/NAME/eval. Samples that the policy was trained on are refused.

    \b
    Example: qibox eval runs/mini --policy default --limit 100
    """
    from qibox.cli import console
    from qibox.evaluation.evaluate import evaluate, evaluation_of
    from qibox.manifests.judge import JudgeManifest
    from qibox.manifests.load import load_manifest
    from qibox.manifests.pool import PoolManifest
    from qibox.policies.contenders import contenders_of
    from qibox.run.directory import Run

    opened = Run.open(run)
    evaluation = evaluation_of(
        opened,
        load_manifest(PoolManifest, pool),
        load_manifest(JudgeManifest, judge) if judge else None,
        samples_per_model,
        limit,
    )
    with contenders_of(opened, policy, start) as (name, contenders, known):
        report = evaluate(opened, name, contenders, evaluation, known, _say)
    console.out.print(table(report))
    console.err.print(f"rows and rates in {run}/policies/{name}/eval", soft_wrap=True)


def _say(samples: int, total: int, remark: str) -> None:
    """Tell how far the work is; evaluations take seconds a shard, so a line each is enough."""
    from qibox.cli import console

    console.err.print(f"{remark}: {samples}/{total} samples", highlight=False)


def table(report: "Report") -> "Table":
    """Lay a report out, a measure a line."""
    from rich.table import Table

    title = f"{report.policy} on {report.pool}, judge {report.judge}"
    caption = (
        f"{report.samples} samples × {report.samples_per_model} responses; "
        + ", ".join(f"{stage}: {count} not judged" for stage, count in report.unjudged.items())
        + "; [95 % interval over samples]"
    )
    laid = Table(title=title, caption=caption)
    laid.add_column("measure", no_wrap=True)
    laid.add_column("n", justify="right", no_wrap=True)
    stages = ("start", "trained", "change") if "start" in report.unjudged else ("trained",)
    for stage in stages:
        laid.add_column(stage if len(stages) > 1 else "policy", justify="right", no_wrap=True)
    for line in report.compared:
        values = [_words(line.measure, getattr(line, stage), stage) for stage in stages]
        laid.add_row(_name(line.measure), str(line.trained.samples), *values)
    return laid


def _name(measure: "Measure") -> str:
    words = f"{measure.name}, {measure.risk}" if measure.risk else measure.name
    return f"{words} %" if measure.name in SHARES else words


def _words(measure: "Measure", found: "Estimate | None", stage: str) -> str:
    """Write an estimate; the start's interval is left out, for it is in the change's."""
    if found is None or found.value is None or found.low is None or found.high is None:
        return "–"
    scale, digits = (100, 0) if measure.name in SHARES else (1, 1)
    sign = "+" if stage == "change" else ""
    value, low, high = (
        f"{scale * v:{sign}.{digits}f}" for v in (found.value, found.low, found.high)
    )
    return value if stage == "start" else f"{value} \\[{low}, {high}]"
