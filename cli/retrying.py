"""The option that asks failed rows again, for every command that asks."""

from pathlib import Path
from typing import Any

import click


def retry_option(command: Any) -> Any:
    """Add ``--retry-failed [REASON]``: null where it is not given, empty for all reasons."""
    return click.option(
        "--retry-failed",
        metavar="[REASON]",
        is_flag=False,
        flag_value="",
        callback=_checked,
        help="Ask again for failed rows, or for those with REASON in theirs, such as 'status 500'; "
        "every other row stays. A response costs all K of its sample.",
    )(command)


def _checked(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Refuse a run's directory, which an option with an optional value swallows."""
    if value and Path(value).is_dir():
        raise click.BadParameter(
            f"'{value}' is a directory, not a part of a reason: write it before --retry-failed"
        )
    return value
