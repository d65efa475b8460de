"""What audits say of a selection's judge, for its card: a row for each other judge.

Reads the view ``audits``. Who lies in the box under another judge is told of the box that was
audited, so only where the selection stands as it did then: a card written anew leaves that open.
"""

from typing import Any, Final

from qibox.catalog.connect import reading
from qibox.markdown import markdown_table
from qibox.run.directory import Run
from qibox.run.layout import selection_path

HEADING: Final = "## Other judges"
NEXT: Final = "## Reproduce"
CARD: Final = "README.md"

_QUERY: Final = """
select other, max(n) filter (measure = 'safe' and statistic = 'accuracy') as answers,
       max(value) filter (measure = 'safe' and statistic = 'accuracy') as accuracy,
       max(value) filter (measure = 'safe' and statistic = 'kappa') as kappa,
       max(value) filter (measure = 'score' and statistic = 'absolute error') as error,
       max(value) filter (part = 'box' and measure = $name and statistic = 'kept') as kept,
       max(value) filter (part = 'box' and measure = $name and statistic = 'leaving') as leaving,
       max(value) filter (part = 'box' and measure = $name and statistic = 'entering') as entering
from audits where judge = $judge and "by" = 'all' group by other order by other
"""


def audit_section(run: Run, name: str | None = None) -> list[str]:
    """The card's section, empty where there is no audit; of the box of a selection, if named."""
    judge = run.manifest.judges[0].name
    with reading(run, ("audits",)) as connection:
        found = connection.sql(_QUERY, params={"judge": judge, "name": name or ""})
        rows = found.to_arrow_table().to_pylist()
    if not rows:
        return []
    header = ("judge", "answers", "agree on safe", "kappa", "score off by", "of the box")
    return [
        HEADING,
        "",
        f"`qibox audit` compared them with `{judge}`, whose scores chose these samples.",
        "",
        *markdown_table(header, [_row(row) for row in rows]),
        "",
    ]


def refresh_card(run: Run, name: str) -> None:
    """Put what audits say into a selection's card, in the place of what they said before."""
    path = selection_path(name, CARD)
    if not run.storage.exists(path):
        return
    card, section = run.storage.read_text(path), audit_section(run, name)
    before, _, rest = card.partition(f"{HEADING}\n")
    if rest:
        card = before + NEXT + rest.partition(NEXT)[2]
    before, mark, after = card.partition(NEXT)
    run.storage.write_text(path, before + "\n".join([*section, ""]) + mark + after)


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    box = "-"
    if row["kept"] is not None:
        kept, leaving, entering = (f"{row[n]:,.0f}" for n in ("kept", "leaving", "entering"))
        box = f"{kept} stay, {leaving} leave, {entering} enter"
    numbers = (_shown(row["accuracy"], ".1%"), _shown(row["kappa"], ".2f"))
    answers = "-" if row["answers"] is None else f"{row['answers']:,}"
    return (row["other"], answers, *numbers, _shown(row["error"], ".2f"), box)


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
