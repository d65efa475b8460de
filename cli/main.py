"""The `qibox` command: names its sub-commands, loads the one that is asked for, and reports errors.

A :class:`~qibox.errors.QiboxError` and a wrong usage are one sentence on stderr; a bug keeps its
traceback. Exit status: 0 done; 2 wrong usage; 3 done but too many rows failed; 1 anything else.
"""

import contextlib
import importlib
import os
import sys
from typing import NoReturn

import click

from qibox.cli.streams import prepare_streams
from qibox.errors import QiboxError
from qibox.importing import importing
from qibox.version import __version__

COMMANDS = (  # in the order of the work; each is the `command` of the module of its name
    "demo",
    "score",
    "status",
    "select",
    "train",
    "eval",
    "profile",
    "serve",
    "sql",
    "show",
    "plot",
    "explore",
    "manifests",
    "doctor",
)


class LazyGroup(click.Group):
    """Imports a command's module only when that command, or the list of all, is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the work, not the alphabet's."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        with importing():
            module = importlib.import_module(f"qibox.cli.{cmd_name}")
        command: click.Command = module.command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="qibox")
def cli() -> None:
    """Choose and train on the safety samples where vision-language models waver.

    pool → responses → judgments → scores → selection → policy: each arrow is one command, and SQL
    sees them all. Every command works without arguments on the built-in miniature world.

    \b
    Example: qibox demo
    """


def main() -> NoReturn:
    """Run the command line; the console script's entry point."""
    # Libraries read these when first imported. Spinning threads starve a busy machine's other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    prepare_streams()
    try:
        status = cli.main(standalone_mode=False)
        _flush()
    except QiboxError as error:
        _fail(str(error), error.exit_status)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except click.Abort:
        _fail("stopped; the same command goes on where this one ended", 130)
    except Exception as error:
        from qibox.trouble import told

        trouble = told(error)
        if trouble is None:
            raise
        _forget_output()
        _fail(str(trouble), trouble.exit_status)
    sys.exit(status if isinstance(status, int) else 0)


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


def _fail(message: str, status: int) -> NoReturn:
    from qibox.cli.cells import printable

    click.echo(f"Error: {printable(message)}", err=True)  # it may quote what a file holds
    sys.exit(status)


if __name__ == "__main__":  # as the processes of a training are started
    main()
