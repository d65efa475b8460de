"""Queries typed at a prompt: several lines each, with history and completion."""

import os
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output.defaults import create_output

from qibox import stopping
from qibox.cli import console
from qibox.cli.cells import printable
from qibox.cli.sql_dots import LEAVING, answer_dot, is_dot
from qibox.cli.sql_rows import print_result
from qibox.cli.sql_words import Words
from qibox.errors import QiboxError

if TYPE_CHECKING:
    from qibox.opened import OpenRun

PROMPT, MORE = "qibox> ", "   ... "
AGAIN_S: Final = 0.2  # between two times that a query is told to end
_WHOLE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|\$\$.*?\$\$""", re.DOTALL)


def interact(opened: "OpenRun", form: str, max_rows: int) -> None:
    """Answer each query that is typed; an error, or Ctrl-C, ends only that query."""
    console.err.print("End a query with ;  .help tells more, .quit leaves.", highlight=False)
    with stopping.lending_ctrl_c() as pressed:
        for text in read_queries(make_session(opened)):
            try:
                if is_dot(text):
                    show(answer_dot(opened, text) + "\n")
                else:
                    for query in opened.statements(text):
                        _answer(opened, query, form, max_rows, pressed)
            except QiboxError as error:
                console.err.print(f"Error: {printable(str(error))}", highlight=False, markup=False)


def _answer(opened: "OpenRun", query: str, form: str, max_rows: int, pressed: Event) -> None:
    """Print a query's rows, a long table through a pager.

    The work is done in another thread, so that Ctrl-C is heard while the database works.

    Raises:
        QiboxError: what is wrong with the query, or that Ctrl-C ended it.
    """
    shown: list[str] = []
    pressed.clear()
    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(print_result, opened, query, form, max_rows, shown.append)
        try:
            while not wait([doing], AGAIN_S).done:
                if pressed.is_set():
                    opened.interrupt()
        except BaseException:  # another signal: the process is to end
            opened.interrupt()
            raise
    if pressed.is_set() and isinstance(doing.exception(), QiboxError):
        raise QiboxError("Ctrl-C ended the query")
    doing.result()
    for text in shown:
        show(text)


def show(text: str) -> None:
    """Print a text, through a pager if it is longer than the terminal is high."""
    if sys.stdout.isatty() and text.count("\n") >= console.out.height:
        click.echo_via_pager(text)
    else:
        click.echo(text, nl=False)


def make_session(opened: "OpenRun") -> "PromptSession[str]":
    """A prompt with the run's words; asked on stderr where stdout goes elsewhere."""
    from pygments.lexers.sql import SqlLexer

    return PromptSession(
        PROMPT,
        multiline=True,
        prompt_continuation=MORE,
        key_bindings=_keys(),
        completer=Words(opened),
        complete_while_typing=False,
        lexer=PygmentsLexer(SqlLexer),
        history=history(),
        output=None if sys.stdout.isatty() or not sys.stdin.isatty() else create_output(sys.stderr),
    )


def read_queries(session: "PromptSession[str]") -> Iterator[str]:
    """Yield what is typed, until one leaves or the input ends; Ctrl-C drops what was begun."""
    while True:
        try:
            with stopping.lending_wakeup():
                text = session.prompt()
        except EOFError:
            return
        except stopping.Stop:
            raise
        except KeyboardInterrupt:
            continue
        if text.strip().rstrip(";") in LEAVING:
            return
        if text.strip():
            yield text


def ended(text: str) -> bool:
    """Whether Enter sends what was typed: a query up to its semicolon, a command, or nothing."""
    bare = _WHOLE.sub("", text).strip()
    return not bare or is_dot(text) or bare in LEAVING or _closed(bare)


def _closed(bare: str) -> bool:
    """A semicolon at the end, and no text, name or comment that is still open."""
    return bare.endswith(";") and not re.search(r"""['"]|/\*|\$\$""", bare)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion:
            buffer.complete_state = None  # what Tab chose is taken
        elif ended(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=False)

    return keys


def history() -> History:
    """What was typed before, in the person's own state directory; forgotten where none can be."""
    file = state_home() / "qibox/sql-history"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        with file.open("ab"):
            pass
    except OSError:
        return InMemoryHistory()
    return FileHistory(file)


def state_home() -> Path:
    """Where a person's programs keep what they remember, by the XDG base directories."""
    given = os.environ.get("XDG_STATE_HOME", "")
    return Path(given) if given.startswith("/") else Path.home() / ".local/state"
