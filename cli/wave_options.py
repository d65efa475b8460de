"""The options of every command that asks models and judges, wave by wave."""

from typing import Any

import click

from qibox.cli.retrying import retry_option
from qibox.cli.values import SAMPLES

ENGINES = ["auto", "transformers", "vllm", "openai", "replay"]

samples_option = click.option(
    "--samples-per-model",
    type=SAMPLES,
    help="Responses a sample.  [default: as the run's panel]",
)


def waves_options(command: Any) -> Any:
    """Add how failed rows are taken, whether progress is told, and Beam's own options after --."""
    for add in (
        retry_option,
        click.option(
            "--max-reject-rate",
            type=click.FloatRange(0, 1),
            default=0.01,
            show_default=True,
            help="Share of failed rows in any stage above which the exit status is 3.",
        ),
        click.option("-q", "--quiet", is_flag=True, help="No progress."),
        click.argument(
            "beam_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM OPTIONS]"
        ),
    ):
        command = add(command)
    return command
