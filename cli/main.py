"""The `qibox` command: names its sub-commands, loads the one that is asked for, and reports errors.

A :class:`~qibox.errors.QiboxError` and a wrong usage are one sentence on stderr; a bug keeps its
traceback. Exit status: 0 done; 2 wrong usage; 3 done but too many rows failed; 130, 143 and 129
stopped by Ctrl-C, SIGTERM and SIGHUP (:mod:`qibox.stopping`); 1 anything else.
"""

import contextlib
import os
import shlex
import sys
from typing import Any, NoReturn

import click

from qibox import stopping
from qibox.cli.commands import COMMANDS, load_command
from qibox.cli.flags import naming_options, spelled
from qibox.cli.streams import prepare_streams
from qibox.errors import QiboxError
from qibox.version import __version__

_FINISHED = "what was finished is kept, and the same command goes on from there"
KEPT = {  # when a command is stopped by a signal; the others change nothing
    **dict.fromkeys(("demo", "score", "eval", "profile", "judge"), _FINISHED),
    "select": "no half of a selection is left, and the same command chooses anew",
    "train": "the last checkpoint is kept, and the same command goes on from it",
    "clean": "what was removed is gone, and all else is kept",
    "fetch": "what has come is kept, and the same command goes on from there",
}


class LazyGroup(click.Group):
    """Imports a command's module only when that command, or the list of all, is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the work, not the alphabet's."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        return load_command(cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Do what the command does; what it says of fields names its options."""
        try:
            return super().invoke(ctx)
        except QiboxError:
            with naming_options(str(ctx.invoked_subcommand)):
                raise


FIRST = (  # without a command: what to try, and what it shows
    ("demo", "the whole idea on the miniature world, in minutes"),
    ("doctor", "what this machine can run"),
    ("score --help", "a pool of your own"),
)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="qibox")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Choose and train on the safety samples where vision-language models waver.

    pool → responses → judgments → scores → selection → policy: each arrow is one command, and SQL
    sees them all. Every command works without arguments on the built-in miniature world.

    \b
    Example: qibox demo
    """
    if ctx.invoked_subcommand is not None:
        return
    from qibox.cli.called import called

    click.echo(f"{ctx.get_help()}\n\nTo begin, paste a line as it stands:")
    for line, what in FIRST:
        click.echo(f"  # {what}\n  {shlex.quote(called())} {line}")


def main() -> NoReturn:
    """Run the command line; :mod:`qibox.cli.__main__` is where a process begins."""
    # Libraries read these when first imported. Spinning threads starve a busy machine's other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    prepare_streams()
    try:
        with stopping.hearing():
            status = _run()
    except stopping.Stop:  # between two steps of ours
        status = _stopped()
    sys.exit(status)


def _run() -> int:
    """Do what the command line asks for; the exit status."""
    try:
        status = cli.main(standalone_mode=False)
        _flush()
    except BaseException as error:
        if stopping.asked():  # then whatever comes is the end that was asked for
            return _stopped()
        return _told(error)
    return status if isinstance(status, int) else 0


def _told(error: BaseException) -> int:
    """Say in one sentence what stopped the work; a bug goes on as it is."""
    if isinstance(error, QiboxError):
        return _say(str(error), error.exit_status)
    if isinstance(error, click.ClickException):
        return _say(error.format_message(), error.exit_code)
    if isinstance(error, click.Abort):
        return _say("the question was left without an answer: nothing was done", 1)
    if isinstance(error, Exception):
        from qibox.trouble import told

        if (trouble := told(error)) is not None:
            _forget_output()
            return _say(str(trouble), trouble.exit_status)
    raise error


def _stopped() -> int:
    """Say what is kept and how to go on."""
    if os.environ.get(stopping.QUIET) is None:  # who started this process says it
        command = next((word for word in sys.argv[1:] if word in COMMANDS), "")
        kept = KEPT.get(command, "nothing was changed")
        with contextlib.suppress(OSError):
            click.echo(f"\nStopped by {stopping.name()}: {kept}", err=True)
    _forget_output()
    stopping.end_descendants()
    return stopping.exit_status()


def _flush() -> None:
    """Put out what is left, while an error of it can still be told; a closed pipe ends quietly."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
        sys.exit(1)


def _forget_output() -> None:
    """Let nothing be put out at the end that could not be put out before."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(message: str, status: int) -> int:
    from qibox.cli.cells import printable

    click.echo(f"Error: {printable(spelled(message))}", err=True)  # it may quote what a file holds
    return status


if __name__ == "__main__":
    main()
