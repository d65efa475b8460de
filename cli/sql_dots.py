"""What begins with a dot in `qibox sql`: help, the views, their columns."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from qibox.catalog.about import ABOUT
from qibox.errors import UsageError

if TYPE_CHECKING:
    from qibox.opened import OpenRun

DOTS: Final[Mapping[str, str]] = {
    ".help": "this",
    ".views": "what each view is",
    ".schema": "columns of all views, or of one: .schema scores",
    ".quit": "leave; so does Ctrl-D",
}
LEAVING: Final = (".quit", ".exit", r"\q", "quit", "exit")

_KEYS: Final = """A query ends with ; and may go over several lines. Tab completes, ↑ and Ctrl-R
bring back what was typed before. Ctrl-C ends a query, or drops what was typed.
The run is only read. What people ask of a run, with the queries: docs/sql.md."""


def is_dot(text: str) -> bool:
    """Whether it is no query but one of these."""
    return text.lstrip().startswith(".")


def answer_dot(opened: "OpenRun", text: str) -> str:
    """What to print.

    Raises:
        UsageError: no such command, or no such view.
    """
    command, *names = text.strip().rstrip(";").split()
    if command not in DOTS or (names and command != ".schema") or len(names) > 1:
        raise UsageError(f"no such command: '{text.strip()}'; there are {', '.join(DOTS)}")
    if command == ".schema":
        return _schema(opened, names)
    if command == ".views":
        return _listed({view: ABOUT[view] for view in opened.views})
    return f"{_listed(DOTS)}\n{_KEYS}"


def _schema(opened: "OpenRun", names: list[str]) -> str:
    views = opened.views
    if names and names[0].lower() not in views:
        raise UsageError(f"no view '{names[0]}': there are {', '.join(views)}")
    columns = opened.columns()
    wanted = [names[0].lower()] if names else views
    return "\n".join(f"{view}\n{_listed(columns[view], '  ')}" for view in wanted)


def _listed(rows: Mapping[str, str], indent: str = "") -> str:
    width = max(map(len, rows))
    return "\n".join(f"{indent}{name:<{width}}  {text}" for name, text in rows.items())
