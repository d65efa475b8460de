"""Tables of the cards that the hub shows."""

from collections.abc import Iterator, Sequence


def markdown_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield a table's lines; a cell may hold anything."""
    yield _line(header)
    yield _line(("---",) * len(header))
    yield from map(_line, rows)


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"
