"""Let a policy answer a run's own pool: for `qibox profile` and `qibox value`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from qibox.cli.values import COUNT
from qibox.cli.wave_options import (
    judge_at_option,
    policies_options,
    running_of,
    samples_option,
    tell_commits,
    waves_options,
    work_settings,
)
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.run.directory import Run


def profile_options(command: Any) -> Any:
    """Add whom to ask, of what run, how much and how; what :func:`profiled` is given."""
    for add in (
        waves_options,
        policies_options,
        judge_at_option,
        samples_option,
        click.option("--limit", type=COUNT, help="First N samples of the pool only."),
        click.option(
            "--policy",
            default="builtin:policy",
            show_default=True,
            help="Name of a policy in RUN; or a directory, hub id, builtin:<name>, or a panel's "
            ".yaml.",
        ),
        click.argument("run", default=DEFAULT_RUN),
    ):
        command = add(command)
    return command


def profiled(
    run: "Run",
    policy: str,
    judge: str | None,
    judge_at: Sequence[str],
    quiet: bool,
    options: Mapping[str, Any],
) -> tuple[str, str, Any]:
    """Ask what was not asked yet; the policy's name in the run, the judge's, and what was done."""
    from qibox.cli.wave_progress import ConsoleWatcher
    from qibox.evaluation.benchmarks import profile_job, questions_of
    from qibox.judges.chosen import chosen_judges
    from qibox.judges.placing import placed
    from qibox.pipelines.run import work_off
    from qibox.policies.contenders import contender_of
    from qibox.trainee.answered import answered

    chosen = chosen_judges([judge] if judge else [], run.manifest.judges)
    questions = questions_of(
        run, placed(chosen, judge_at), options["samples_per_model"], options["limit"]
    )
    with contender_of(run, policy, running_of(dict(options))) as contender:
        if not quiet:
            tell_commits([contender])
        summaries = work_off(
            run.storage,
            lambda: [profile_job(run, contender, questions)],
            ConsoleWatcher(quiet=quiet),
            work_settings(dict(options)),
            options["retry_failed"],
        )
    rated_by = questions.judges[0].name
    answered(run, contender.name, rated_by)  # counted once, for whoever selects by it
    return contender.name, rated_by, summaries
