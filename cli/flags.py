"""How what the domain says is typed here: options in the place of fields.

The domain's sentences name values, not options. :class:`~qibox.errors.QiboxError` says which fields
a sentence is about, :func:`~qibox.errors.command` names values of a command; the options of those
names are put there before a person sees the sentence.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import click

from qibox.cli.commands import load_command, load_flags
from qibox.errors import QiboxError

ARGUMENTS = {
    "beam_options": "Beam's come after --, e.g. -- --runner=PortableRunner --job_endpoint=HOST:PORT"
}
_COMMAND = re.compile(r"`qibox ([a-z]+) ([^`]+)`")
_VALUE = re.compile(r"(?<!\S)([a-z_]+)=(\S+)")


def spelled(text: str) -> str:
    """The text with the options of its commands: `` `qibox select runs/mini --name qi` ``."""
    return _COMMAND.sub(_typed, text)


@contextmanager
def naming_options(command: str) -> Iterator[None]:
    """Add the options of a command that set an error's fields to its message: ``… (--u-min)``.

    A field that none sets adds nothing.
    """
    try:
        yield
    except QiboxError as error:
        found = [f"{flag} {value}".rstrip() for flag, value in _flags_of(error.fields, command)]
        listed = f" ({', '.join(dict.fromkeys(found))})" if found else ""
        error.args, error.fields = (f"{spelled(str(error))}{listed}",), ()
        raise


def _flags_of(fields: Iterable[str], command: str) -> Iterator[tuple[str, str]]:
    options, own = _options(command), load_flags(command)
    for field in fields:
        name, _, value = field.partition("=")
        if name in own:
            yield own[name], value
        elif name in ARGUMENTS:
            yield ARGUMENTS[name], ""
        elif name in options:
            yield _flag(options[name]), value


def _typed(found: re.Match[str]) -> str:
    options = _options(found[1])

    def put(value: re.Match[str]) -> str:
        option = options.get(value[1])
        if option is None:
            return value[0]
        if option.is_flag:
            return _flag(option)
        return f"{_flag(option)} {value[2] if option.nargs == 1 else value[2].replace(',', ' ')}"

    return f"`qibox {found[1]} {_VALUE.sub(put, found[2])}`"


def _options(name: str) -> Mapping[str, click.Option]:
    """A command's options by what they are called, and by the parameter that they fill."""
    command = load_command(name)
    options = [p for p in command.params if isinstance(p, click.Option)] if command else []
    called = {_flag(option).strip("-").replace("-", "_"): option for option in options}
    return {option.name: option for option in options if option.name} | called


def _flag(option: click.Option) -> str:
    return max(option.opts, key=len)
