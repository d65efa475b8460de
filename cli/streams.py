"""Standard input and output as they are found: closed, of another encoding, or holding no text."""

import os
import sys
from typing import TextIO

from qibox.errors import UsageError


def prepare_streams() -> None:
    """Let every character be printed: what a stream cannot hold is written out, such as \\u732b.

    A closed stream is one that forgets, instead of one that is not there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def as_utf8(argument: str) -> str:
    """An argument's text where the terminal's language is not UTF-8 but its bytes are."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def write_utf8(stream: TextIO) -> None:
    """Make a file or pipe that data are written to UTF-8, whatever the terminal's language is."""
    if not stream.isatty() and hasattr(stream, "reconfigure"):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def read_text(stream: TextIO) -> str:
    """All text of a stream.

    Raises:
        UsageError: its bytes are no UTF-8 text.
    """
    content = stream.buffer.read() if hasattr(stream, "buffer") else stream.read().encode()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"byte {error.start} of standard input is no UTF-8 text: give a query in SQL"
        ) from error
