"""`qibox judge`: a second opinion on answers that are there."""

from functools import partial
from typing import TYPE_CHECKING

import click

from qibox.cli.wave_options import judge_at_option, waves_options
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.judges.people import Labels
    from qibox.manifests.judge import JudgeManifest
    from qibox.run.directory import Run
    from qibox.scoring.plan import Job


@click.command(short_help="Let one more judge, or people, rate the answers that a run has.")
@click.argument("run", default=DEFAULT_RUN)
@click.option(
    "--judge",
    "judges",
    multiple=True,
    help="Judge's name, as RUN has it or shipped, or a .yaml path; may be repeated.",
)
@judge_at_option
@click.option(
    "--labels", metavar="FILE.csv", help="What people said: sample_id, model, k, safe, score, who."
)
@click.option(
    "--name", default="people", show_default=True, help="Name of those people as a judge."
)
@waves_options
def command(
    run: str,
    judges: tuple[str, ...],
    judge_at: tuple[str, ...],
    labels: str | None,
    name: str,
    retry_failed: str | None,
    max_reject_rate: float,
    trust_remote_code: bool,
    quiet: bool,
    beam_options: tuple[str, ...],
) -> None:
    """Add judges to RUN, or to RUN/evaluations/BENCHMARK or RUN/profiles/POLICY.

    No model is asked again, and no other judge's verdict and no score is touched: selections go by
    the run's first judge. The view `judgments` has all of them. Several judges are asked one after
    the other. Stopped at any moment, the same command does what is missing. Without --judge and
    --labels, the judge is oracle on the miniature pools, grm on any other.

    With --labels people are the judge. safe is true or false, score 1 to 10; of several labels on
    one text the score is the mean, safe what most say, null where they are even. A response that
    nobody labelled has the reason "no label", which --max-reject-rate does not count.

    \b
    Examples:
      qibox judge runs/mini --judge hash
      qibox judge runs/mini/evaluations/mini-heldout --judge grm --judge-at http://127.0.0.1:8000/v1
      qibox judge runs/mini --labels audit.csv --name audit
    """
    from qibox.cli import console
    from qibox.cli.account import print_mended, print_summary
    from qibox.cli.wave_progress import ConsoleWatcher
    from qibox.judges.people import read_labels
    from qibox.pipelines.run import Settings, work_off
    from qibox.run.directory import Run
    from qibox.scoring.adding import job_of_judge
    from qibox.scoring.opening import check_rejects

    opened = Run.open_below(run)
    read = None if labels is None else read_labels(labels)

    def jobs(judge: "JudgeManifest") -> "list[Job]":
        return [job_of_judge(run, judge, read)]

    for chosen in judges_to_add(opened, judges, judge_at, read, name):
        (summary,) = work_off(
            opened.storage,
            partial(jobs, chosen),
            ConsoleWatcher(quiet=quiet),
            Settings(beam_options, trust_remote_code),
            retry_failed,
        )
        if not quiet:
            print_summary(summary, run)
            first = opened.manifest.judges[0].name
            if opened.manifest.scored and first != chosen.name:
                said = f"scores stay those of judge {first}"
                console.err.print(said, highlight=False, markup=False)
        print_mended(summary, retry_failed)
        check_rejects(summary, max_reject_rate)


def judges_to_add(
    run: "Run",
    judges: tuple[str, ...],
    judge_at: tuple[str, ...],
    labels: "Labels | None",
    name: str,
) -> "list[JudgeManifest]":
    """The judges to add, or to go on with, each once.

    Raises:
        UsageError: options that exclude each other, a name that is none or is not known.
    """
    from qibox.errors import UsageError
    from qibox.judges.chosen import judges_of_pool
    from qibox.judges.placing import placed
    from qibox.manifests.common import is_name
    from qibox.scoring.adding import people_judge

    if labels is not None:
        if judges or judge_at:
            raise UsageError("--labels are people's word: leave out --judge and --judge-at")
        if not is_name(name):
            raise UsageError(f"--name '{name}' is no name: give lower-case letters, digits and -")
        return [people_judge(name, labels)]
    known = {each.name: each for each in run.manifest.judges}
    pool = run.manifest.pool
    named = [
        known[each] if each in known else judges_of_pool([each], pool)[0]
        for each in dict.fromkeys(judges)
    ]
    return placed(named or judges_of_pool([], pool), judge_at)
