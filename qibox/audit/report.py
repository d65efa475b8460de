"""An audit as a whole: two judges of a run compared, kept in the run, read again.

Writes RUN/audits/judge=<judge>/other=<other>/: audit.parquet (:data:`qibox.tables.AUDITS`, the view
``audits``), disagreements.parquet (the gravest), audit.png. Where policies answered, below
evaluations/ or profiles/, there are no scores of samples and no box, and these parts are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from qibox.audit.agreement import Row, flag_rows, score_rows
from qibox.audit.bias import bias_rows
from qibox.audit.bounds import bounded
from qibox.audit.effect import SelectionBox, both_scores, box_rows, sample_rows
from qibox.audit.gravest import gravest
from qibox.audit.pairs import groups, paired
from qibox.box import Box
from qibox.errors import QiboxError, UsageError, command
from qibox.manifests.judge import JudgeManifest
from qibox.run.directory import Run
from qibox.run.finished import selection_names
from qibox.run.layout import audit_folder
from qibox.selection.audited import refresh_card
from qibox.selection.read import read_selection_lineage
from qibox.tables import AUDITS

if TYPE_CHECKING:
    import duckdb

DECIMALS = 6  # tools sum in different orders


@dataclass(frozen=True)
class Audit:
    """What a comparison came to."""

    judge: str  # the one that is compared with
    other: str
    rows: pa.Table  # AUDITS
    disagreements: pa.Table  # DISAGREEMENTS, the gravest first
    answers: int  # that both rated
    selection: str | None = None  # whose box was looked at


def two_judges(run: Run, names: Sequence[str] = ()) -> tuple[JudgeManifest, JudgeManifest]:
    """The judges of these names; without names the run's first two.

    Raises:
        UsageError: the run has no such judge, one twice, or only one.
    """
    known = {judge.name: judge for judge in run.manifest.judges}
    if not names and len(known) < 2:
        more = command("judge", run.url, judge="NAME")
        raise UsageError(
            f"{run.url} has one judge, {next(iter(known))}, and an audit compares two: {more} adds "
            "one, and labels of people are one too"
        )
    chosen = list(names) or list(known)[:2]
    for name in chosen:
        if name not in known:
            more = command("judge", run.url, judge=name)
            raise UsageError(
                f"no judge '{name}' in {run.url}, which has {', '.join(known)}: {more} adds it",
                fields=["judges"],
            )
    first, second = chosen
    return known[first], known[second]


def audit(
    run: Run,
    judge: JudgeManifest,
    other: JudgeManifest,
    selection: str | None = None,
    again: Sequence[Row] = (),
) -> Audit:
    """Compare two judges of a run; the box is that of a selection, where one is named.

    ``again``: what asking them twice came to (:func:`qibox.audit.noise.rows_again`).

    Raises:
        UsageError: one of them has not rated all answers yet, or no selection has that name.
        QiboxError: there is no answer that both rated.
    """
    for each in (judge, other):
        _require(run, each)
    box = None if selection is None else selection_box(run, selection)
    with paired(run, judge.name, other.name) as connection:
        found, answers = _compared(connection)
        worst = gravest(connection)
    if not answers:
        raise QiboxError(f"no answer of {run.url} was rated by both {judge.name} and {other.name}")
    if run.manifest.scored:
        pool, first, second = both_scores(run, (judge, other))
        found += sample_rows(first, second)
        found += [] if box is None else box_rows(pool, first, second, box)
    rows = as_table(judge.name, other.name, [*found, *again])
    return Audit(judge.name, other.name, rows, worst, answers, selection)


def _compared(connection: "duckdb.DuckDBPyConnection") -> tuple[list[Row], int]:
    ((answers,),) = connection.execute("select count(*) from pairs").fetchall()
    parts = groups(connection)
    agreed = [*flag_rows(connection, parts), *score_rows(connection, parts)]
    return [*bounded(connection, agreed), *bias_rows(connection)], int(answers)


def as_table(judge: str, other: str, rows: Sequence[Row]) -> pa.Table:
    """Rows as a table of AUDITS, numbers rounded."""
    numbers = ("value", "low", "high")

    def rounded(row: Row) -> dict[str, Any]:
        shown = {n: round(row[n], DECIMALS) for n in numbers if row.get(n) is not None}
        return {"judge": judge, "other": other} | row | shown

    return pa.Table.from_pylist([rounded(row) for row in rows], schema=AUDITS)


def _require(run: Run, judge: JudgeManifest) -> None:
    index = run.pool_index()
    units = run.judgments_units(judge, index.shards()) if index is not None else []
    missing = [unit.path for unit in units if not run.storage.exists(unit.path)]
    if missing or not units:
        raise UsageError(
            f"judge {judge.name} has rated {len(units) - len(missing)} of {len(units)} files of "
            f"answers in {run.url}: {command('judge', run.url, judge=judge.name)} goes on with them"
        )


def selection_box(run: Run, name: str) -> SelectionBox | None:
    """The box of a selection; None of one that was drawn at random.

    Raises:
        UsageError: the run has no selection of that name.
    """
    lineage = read_selection_lineage(run.storage, name)
    if lineage is None:
        there = ", ".join(selection_names(run.storage)) or "none yet"
        raise UsageError(
            f"no selection named '{name}' in run {run.url} (there: {there}): "
            f"{command('select', run.url)} makes one",
            fields=["selection"],
        )
    boxes = {
        str(edge["stratum"]): Box(float(edge["q_low"]), float(edge["q_high"]), float(edge["u_min"]))
        for edge in lineage["edges"]
    }
    return SelectionBox(name, str(lineage["within"]), boxes) if boxes else None


def keep_audit(run: Run, made: Audit) -> str:
    """Write an audit into the run and on the selection's card; the name of its folder there."""
    from qibox.figures.audit import audit_figure
    from qibox.figures.style import keep

    folder = audit_folder(made.judge, made.other, run.home)
    run.storage.write_table(f"{folder}/disagreements.parquet", made.disagreements)
    keep(run.storage, f"{folder}/audit.png", audit_figure(made.rows.to_pandas()))
    run.storage.write_table(f"{folder}/audit.parquet", made.rows)
    if made.selection is not None:
        refresh_card(run, made.selection)
    return folder
