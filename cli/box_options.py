"""The options that say which box is meant: of `qibox select` and `qibox intervals`."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

FLAGS = {  # the option that sets each field of a request, where it is called otherwise
    "q_low": "--q-band",
    "q_high": "--q-band",
    "q_low.quantile": "--q-band-quantile",
    "q_high.quantile": "--q-band-quantile",
}


_OPTIONS = (
    click.option(
        "--q-band", nargs=2, type=float, metavar="LO HI", help="Band on quality, edges included."
    ),
    click.option("--u-min", type=float, metavar="X", help="Minimum of instability, included."),
    click.option(
        "--q-band-quantile",
        nargs=2,
        type=click.FloatRange(0, 1),
        metavar="LO HI",
        help="The band as quantiles of the written quality.",
    ),
    click.option(
        "--u-min-quantile",
        type=click.FloatRange(0, 1),
        metavar="P",
        help="The minimum as a quantile of the written instability.",
    ),
    click.option("--box", help="Box's name or .yaml path.  [default: mini, on the miniature pool]"),
)


def box_options(command: F) -> F:
    """Give a command the options of a box."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
