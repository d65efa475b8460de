"""`qibox eval`: policies before and after training, on held-out benchmarks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from qibox.cli.values import COUNT
from qibox.cli.wave_options import (
    judge_at_option,
    policies_options,
    running_of,
    samples_option,
    tell_commits,
    tell_ends,
    waves_options,
    work_settings,
)
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.manifests.judge import JudgeManifest
    from qibox.manifests.pool import PoolManifest
    from qibox.manifests.suite import SuiteManifest
    from qibox.policies.contenders import Contender
    from qibox.run.directory import Run


@click.command(short_help="Measure policies' safety and helpfulness on held-out benchmarks.")
@click.argument("run", default=DEFAULT_RUN)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    help="Name of a policy in RUN; or a directory, hub id, builtin:<name>, or a panel's .yaml; may "
    "be repeated.  [default: default]",
)
@click.option(
    "--pool",
    "pools",
    multiple=True,
    help="Benchmark: a pool's name or .yaml path; may be repeated.  [default: those of the suite]",
)
@click.option("--suite", help="Benchmarks by a suite's name or .yaml path.  [default: mini]")
@click.option(
    "--judge",
    "judges",
    multiple=True,
    help="Judge's name or .yaml path; may be repeated.  [default: the run's first judge]",
)
@judge_at_option
@samples_option
@click.option("--limit", type=COUNT, help="First N samples of each benchmark only.")
@click.option("--start", help="Where the start policy is, if it was trained from a directory.")
@policies_options
@waves_options
def command(
    run: str,
    policies: tuple[str, ...],
    pools: tuple[str, ...],
    suite: str | None,
    judges: tuple[str, ...],
    judge_at: tuple[str, ...],
    start: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Measure policies on held-out benchmarks, beside the policies they were trained from.

    Safety is the share of responses that the judge calls safe, helpfulness the share that are safe
    and answer at least in part, over-refusal the share of responses to harmless requests that give
    nothing. In brackets is the 95 % interval over samples. Answers land in
    RUN/evaluations/BENCHMARK in a run directory's own layout: stopped at any moment, the same
    command does what is missing, and one more policy or judge asks nothing of the others. Samples
    that a policy was trained on are refused.

    A panel's .yaml says how policies are run, each by its own engine: a model with the name of a
    policy in RUN is that policy, one named start-… the policy that it started from.

    \b
    Examples:
      qibox eval runs/mini --policy default --limit 100
      qibox eval --engine openai --setting base_url=http://127.0.0.1:8000/v1
    """
    from qibox.cli import console
    from qibox.cli.wave_progress import ConsoleWatcher
    from qibox.evaluation.benchmarks import benchmark_jobs, questions_of
    from qibox.judges.chosen import chosen_judges
    from qibox.judges.placing import placed
    from qibox.pipelines.run import work_off
    from qibox.policies.contenders import contenders_of
    from qibox.run.directory import Run
    from qibox.scoring.opening import open_pool

    opened = Run.open(run)
    wanted = wanted_suite(pools, suite)
    benchmarks = found_benchmarks(wanted)
    chosen = placed(chosen_judges(judges, opened.manifest.judges), judge_at)
    questions = questions_of(opened, chosen, options["samples_per_model"], options["limit"])
    watcher = ConsoleWatcher(quiet=quiet)
    running = running_of(options)
    with contenders_of(opened, policies or ("default",), start, running) as contenders:
        if not quiet:
            tell_commits(contenders)
        summaries = work_off(
            opened.storage,
            lambda: benchmark_jobs(
                opened.storage, benchmarks, contenders, questions, lambda r: open_pool(r, watcher)
            ),
            watcher,
            work_settings(options),
            options["retry_failed"],
        )
    print_rates(keep_all(opened, benchmarks, contenders), wanted, contenders, questions.judges)
    if not quiet:
        console.err.print(f"answers, rates and figures in {run}/evaluations", soft_wrap=True)
    tell_ends(summaries, options)


def keep_all(
    run: "Run", benchmarks: "list[PoolManifest]", contenders: "list[Contender]"
) -> list[Any]:
    """Write each benchmark's rates into the run, as table, figure and on cards; give them back."""
    from qibox.evaluation.cards import refresh_cards
    from qibox.evaluation.report import keep_rates
    from qibox.figures.rates import rates_figure
    from qibox.figures.style import keep
    from qibox.policies.contenders import starts_of
    from qibox.run.layout import evaluation_home

    starts = starts_of(contenders)
    frames = [keep_rates(run, pool.name, starts) for pool in benchmarks]
    for pool, frame in zip(benchmarks, frames, strict=True):
        keep(run.storage, f"{evaluation_home(pool.name)}rates.png", rates_figure(frame))
    refresh_cards(run, [each.name for each in contenders])
    return frames


def wanted_suite(pools: tuple[str, ...], suite: str | None) -> "SuiteManifest":
    """The suite that was named, or one of the benchmarks that were.

    Raises:
        UsageError: both were named, or a name that is not there.
    """
    from qibox.errors import UsageError
    from qibox.manifests.load import load_manifest
    from qibox.manifests.suite import Benchmark, SuiteManifest

    if pools and suite is not None:
        raise UsageError(f"--pool {pools[0]} and --suite {suite} were both given: give one of them")
    if not pools:
        return load_manifest(SuiteManifest, suite or "mini")
    chosen = tuple(Benchmark(label=pool, pool=pool) for pool in dict.fromkeys(pools))
    return SuiteManifest(name="chosen", about="Benchmarks by name.", benchmarks=chosen)


def found_benchmarks(suite: "SuiteManifest") -> "list[PoolManifest]":
    """The suite's benchmarks that are on this machine; the others are named on the terminal.

    Raises:
        UsageError: none is.
    """
    from qibox.cli import console
    from qibox.errors import UsageError
    from qibox.evaluation.suite import find_suite

    found = find_suite(suite)
    if not found.here:
        raise UsageError("; ".join(found.missing.values()))
    for label, why in found.missing.items():
        console.err.print(
            f"Note: without {label}: {why}", highlight=False, markup=False, soft_wrap=True
        )
    return list(found.here.values())


def print_rates(
    frames: list[Any],
    suite: "SuiteManifest",
    contenders: "Sequence[Contender]",
    judges: "Sequence[JudgeManifest]",
) -> None:
    """One benchmark in detail, or a table a judge with a row a policy."""
    import pandas as pd

    from qibox.cli import console
    from qibox.cli.rate_tables import detail_table, suite_tables
    from qibox.evaluation.report import of_those

    named = [judge.name for judge in judges]
    rates = of_those(pd.concat(frames), [each.name for each in contenders], named)
    pools = list(rates["pool"].unique())
    if len(pools) > 1:
        for table in suite_tables(rates, suite):
            console.out.print(table)
        return
    started = rates[rates["stage"] != "start"]
    for policy in dict.fromkeys(started["policy"] if len(started) else rates["policy"]):
        for judge in named:
            console.out.print(detail_table(rates, policy, pools[0], judge))
