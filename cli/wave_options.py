"""The options of every command that asks models and judges, wave by wave."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from qibox.cli.retrying import retry_option
from qibox.cli.values import SAMPLES

if TYPE_CHECKING:
    from qibox.pipelines.run import Settings
    from qibox.policies.contenders import Contender
    from qibox.policies.running import Running
    from qibox.scoring.summary import Summary

ENGINES = ["auto", "transformers", "vllm", "openai", "replay"]

samples_option = click.option(
    "--samples-per-model",
    type=SAMPLES,
    help="Responses a sample.  [default: as the run's panel]",
)

judge_at_option = click.option(
    "--judge-at",
    "judge_at",
    metavar="[JUDGE=]URL",
    multiple=True,
    help="Where a judge's model is served, by `qibox serve`, instead of loading it; its key, if it "
    "asks for one, is read from $QIBOX_KEY.",
)


def policies_options(command: Any) -> Any:
    """Add how policies are run: engine, the engine's settings, recorded answers."""
    for add in (
        click.option("--replay", metavar="PATH", help="Play recorded answers, by policies' names."),
        click.option(
            "--setting",
            "settings",
            multiple=True,
            metavar="NAME=VALUE",
            help="A setting of that engine, such as base_url=http://host:8000/v1 of openai; may be "
            "repeated.",
        ),
        click.option("--engine", type=click.Choice(ENGINES), help="Engine of every policy."),
    ):
        command = add(command)
    return command


def running_of(options: Mapping[str, Any]) -> "Running":
    """How policies are run, as the options say.

    Raises:
        UsageError: a setting that is none.
    """
    from qibox.manifests.settings import parse_settings
    from qibox.policies.running import Running

    settings = parse_settings(options["settings"])
    return Running(options["engine"] or "auto", settings, options["replay"])


def work_settings(options: Mapping[str, Any]) -> "Settings":
    """How waves are run, as the options say."""
    from qibox.pipelines.run import Settings

    return Settings(options["beam_options"], options["trust_remote_code"])


def tell_ends(summaries: "Sequence[Summary]", options: Mapping[str, Any]) -> None:
    """Tell of each work what was asked again; then refuse what lost too many rows.

    Raises:
        TooManyRejectsError: more than the options allow.
    """
    from qibox.cli.account import print_mended
    from qibox.scoring.opening import check_rejects

    for summary in summaries:
        print_mended(summary, options["retry_failed"])
    for summary in summaries:
        check_rejects(summary, options["max_reject_rate"])


def tell_commits(contenders: "list[Contender]") -> None:
    """Name the commit of each policy on the hub that was given without one."""
    from qibox.cli.console import err

    for each in contenders:
        if each.commit is not None:
            why = "as this run asked it before" if each.commit == "kept" else "and so from now on"
            err.print(
                f"Note: {each.spec.source} is asked at commit {each.spec.revision}, {why}; another "
                "takes a panel's manifest with its revision",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )


def waves_options(command: Any) -> Any:
    """Add how failed rows are taken, whose code may run, progress, and Beam's options after --."""
    for add in (
        retry_option,
        click.option(
            "--max-reject-rate",
            type=click.FloatRange(0, 1),
            default=0.01,
            show_default=True,
            help="Share of failed rows in any stage above which the exit status is 3.",
        ),
        click.option("--trust-remote-code", is_flag=True, help="Let models run code of their own."),
        click.option("-q", "--quiet", is_flag=True, help="No progress."),
        click.argument(
            "beam_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM OPTIONS]"
        ),
    ):
        command = add(command)
    return command
