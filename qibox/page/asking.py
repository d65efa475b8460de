"""The tab SQL, and what other tabs ask in it: a query, its guard, its limit, its rows as HTML."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from qibox.catalog.cookbook import load_cookbook
from qibox.errors import QiboxError, UsageError
from qibox.opened import OpenRun
from qibox.page import html
from qibox.page.context import Context

ROWS: Final = 200  # of a query, shown
LIMIT_S: Final = 20.0  # for a query of the page
CHARACTERS: Final = 2000  # of a value, shown
QUERIES: Final = {question.asks: question.query.strip() for question in load_cookbook()}


def asked(context: Context, query: str, limit_s: float = LIMIT_S) -> str:
    """Rows of a query through the guard of `qibox sql`; an error is a sentence."""
    try:
        with context.sql() as opened, _ended_after(opened, limit_s):
            reader = opened.batches(query)
            names = reader.schema.names
            numbered = (b.rename_columns([str(i) for i in range(len(names))]) for b in reader)
            rows = [tuple(r.values()) for r in islice(_rows(numbered), ROWS + 1)]
    except QiboxError as error:
        return html.page(f"<p class='warn'>{html.text(error)}</p>")
    more = f"<p>the first {ROWS} rows</p>" if len(rows) > ROWS else ""
    shown = [tuple(map(_short, row)) for row in rows[:ROWS]]
    none = "<p>no row</p>" if not rows else ""
    return html.page(f"<div class='wide'>{html.table(names, shown)}</div>", more, none)


@contextmanager
def _ended_after(opened: OpenRun, limit_s: float) -> Iterator[None]:
    """End the query of the block after so many seconds.

    Raises:
        UsageError: it was.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        opened.interrupt()

    timer = threading.Timer(limit_s, end)
    timer.start()
    try:
        yield
    except QiboxError as error:
        if not late.is_set():
            raise
        raise UsageError(
            f"the query was ended after {limit_s:g} s, which is what the page allows: `qibox sql` "
            "has no limit"
        ) from error
    finally:
        timer.cancel()


def _rows(batches: Any) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()


def _short(value: Any) -> Any:
    """A value that the page can show: bytes by their number, long texts cut."""
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value[:ROWS]]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, str) and len(value) > CHARACTERS:
        return value[:CHARACTERS] + "…"
    return value


def quoted(words: str) -> str:
    """A text as a literal in SQL."""
    return "'" + words.replace("'", "''") + "'"


def listed(names: Sequence[str]) -> str:
    """Texts as a list in SQL; of none, one that holds nothing."""
    return f"({', '.join(map(quoted, names)) or 'null'})"
