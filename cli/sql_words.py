"""What the Tab key completes in a query: views, columns, SQL's words, DuckDB's functions."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from qibox.cli.sql_dots import DOTS

if TYPE_CHECKING:
    from qibox.opened import OpenRun

_WORD: Final = re.compile(r"[\w.]*\Z")
_WANTS_VIEW: Final = re.compile(r"(?is)\b(?:from|join|describe|summarize)\s+\w*\Z")
_NAMED: Final = re.compile(r"(?is)\b(?:from|join)\s+(\w+)(?:\s+(?:as\s+)?(\w+))?")


class Words(Completer):
    """Completes from what the run has; a column of a view that the query names comes first."""

    def __init__(self, opened: "OpenRun") -> None:
        columns = opened.columns()
        self.columns = {view: list(columns[view]) for view in opened.views}
        words = "select keyword_name from duckdb_keywords() order by all"
        functions = r"""select distinct function_name from duckdb_functions()
                        where regexp_matches(function_name, '^[a-z]\w*$') order by all"""
        self.words = [name for (name,) in opened.sql(words).fetchall()]
        self.functions = [name for (name,) in opened.sql(functions).fetchall()]

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """What the word before the cursor may become."""
        before = document.text_before_cursor
        if before.lstrip().startswith("."):
            typed = before.lstrip()
            _, space, name = typed.partition(" ")
            found = _of(self.columns, "view") if space else _of(DOTS, "")
            yield from _begun(name.lstrip() if space else typed, found)
            return
        word = _WORD.search(before)
        typed = word[0] if word else ""
        of, dot, start = typed.rpartition(".")
        if dot:
            view = self._named(document.text).get(of, of)
            yield from _begun(start, _of(self.columns.get(view, ()), view))
        elif _WANTS_VIEW.search(before):
            yield from _begun(typed, _of(self.columns, "view"))
        elif typed:
            yield from _begun(typed, self._anything(document.text))

    def _anything(self, text: str) -> Iterator[tuple[str, str]]:
        named = [view for view in self._named(text).values() if view in self.columns]
        for view in dict.fromkeys(named or self.columns):
            yield from _of(self.columns[view], view)
        yield from _of(self.columns, "view")
        yield from _of(self.words, "")
        yield from _of(self.functions, "function")

    @staticmethod
    def _named(text: str) -> dict[str, str]:
        """Views by the names that a query gives them."""
        found = {}
        for view, alias in _NAMED.findall(text):
            found[view.lower()] = view.lower()
            if alias:
                found[alias.lower()] = view.lower()
        return found


def _of(names: Iterable[str], meta: str) -> Iterator[tuple[str, str]]:
    return ((name, meta) for name in names)


def _begun(start: str, found: Iterable[tuple[str, str]]) -> Iterator[Completion]:
    """Each name once, that begins with what was typed."""
    seen = set()
    for name, meta in found:
        if name.lower().startswith(start.lower()) and name not in seen:
            seen.add(name)
            yield Completion(name, start_position=-len(start), display_meta=meta)
