"""Let a policy answer a run's own pool: for `qibox profile` and `qibox value`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qibox.cli.wave_options import running_of, tell_commits, work_settings

if TYPE_CHECKING:
    from qibox.run.directory import Run


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
    return contender.name, questions.judges[0].name, summaries
