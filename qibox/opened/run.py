"""A run in Python: SQL over its tables, one sample with all that is known of it, its selections."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import duckdb
import pyarrow as pa

from qibox.catalog.about import ABOUT
from qibox.catalog.connect import VIEWS, reading
from qibox.catalog.guard import check_query, split_queries
from qibox.errors import UsageError
from qibox.opened import html
from qibox.opened.sample import Answer, Sample
from qibox.opened.table import Table
from qibox.run.directory import Run
from qibox.run.finished import selection_files, selection_names
from qibox.trouble import query_trouble

if TYPE_CHECKING:
    from qibox.opened.chosen import Chosen
    from qibox.opened.plots import Plots
    from qibox.selection.request import Within

NEAR_IDS = 3  # ids named when one is not found


class OpenRun:
    """A run's tables, read-only; see :func:`qibox.open`.

    The files are listed when the run is opened: open it again to see what was written since.
    """

    def __init__(self, path: str | Path) -> None:
        self.run = Run.open_below(path)
        self._held = ExitStack()
        self._connection = self._held.enter_context(reading(self.run))

    def __enter__(self) -> Self:
        return self

    def __repr__(self) -> str:
        manifest, counts = self.run.manifest, self._counts()
        made = "; ".join(f"{name} {count:,}" for name, count in counts.items() if count)
        panel = f"{len(manifest.panel.models)} models"
        judges = ", ".join(judge.name for judge in manifest.judges)
        return (
            f"<run {self.run.storage.url}: pool {manifest.pool.name}, {panel}, judge {judges}; "
            f"rows: {made or 'none yet'}>"
        )

    def _repr_html_(self) -> str:
        rows = [(name, count, ABOUT[name]) for name, count in self._counts().items()]
        manifest = self.run.manifest
        told = f"pool {manifest.pool.name}, panel {', '.join(manifest.panel.models)}"
        heading = f"<p><b>{html.text(self.run.storage.url)}</b>: {html.text(told)}</p>"
        return html.framed(heading, html.table(("table", "rows", ""), rows))

    def _counts(self) -> dict[str, int]:
        parts = (f"select '{view}' as view, count(*) as rows from {view}" for view in VIEWS)
        return dict(self._connection.execute(" union all ".join(parts)).fetchall())

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the database; relations made from it end with it."""
        self._held.close()

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """Return the result, computed when it is read: .df(), .fetchall(), .to_arrow_table().

        Raises:
            UsageError: not a single reading statement, or DuckDB cannot make sense of it.
        """
        checked = check_query(self._connection, query)
        try:
            return self._connection.sql(checked)
        except duckdb.Error as error:
            raise query_trouble(error) from error

    def statements(self, text: str) -> list[str]:
        """The queries in a text of several; they are checked when they are asked.

        Raises:
            UsageError: it is not SQL.
        """
        return split_queries(self._connection, text)

    def interrupt(self) -> None:
        """End the query that is running in another thread; it raises UsageError there."""
        self._connection.interrupt()

    @property
    def views(self) -> tuple[str, ...]:
        """Names of all views; :data:`qibox.catalog.about.ABOUT` says what each is."""
        return VIEWS

    def columns(self) -> dict[str, dict[str, str]]:
        """Columns of each view and their types in SQL."""
        rows = self._connection.execute(
            "select table_name, column_name, data_type from duckdb_columns() where not internal "
            "order by table_name, column_index"
        ).fetchall()
        found: dict[str, dict[str, str]] = {view: {} for view in VIEWS}
        for view, column, kind in rows:
            if view in found:
                found[view][column] = kind
        return found

    def batches(self, query: str) -> pa.RecordBatchReader:
        """Return the result of any reading statement (DESCRIBE and EXPLAIN too), batch by batch.

        Raises:
            UsageError: not a single reading statement, or DuckDB cannot run it.
        """
        checked = check_query(self._connection, query)
        try:
            reader = self._connection.sql(checked).to_arrow_reader()
        except duckdb.Error as error:
            raise query_trouble(error) from error
        return pa.RecordBatchReader.from_batches(reader.schema, _guarded(reader))

    def table(self, view: str) -> Table:
        """Any view by its name; see :data:`qibox.catalog.about.ABOUT`.

        Raises:
            UsageError: there is no such view.
        """
        if view not in VIEWS:
            raise UsageError(f"no view '{view}': there are {', '.join(VIEWS)}")
        return Table(view, self._connection.view(view))

    @property
    def pool(self) -> Table:
        """The samples."""
        return self.table("pool")

    @property
    def responses(self) -> Table:
        """What the panel answered."""
        return self.table("responses")

    @property
    def judgments(self) -> Table:
        """What the judges said of the responses."""
        return self.table("judgments")

    @property
    def scores(self) -> Table:
        """Quality and instability of each sample."""
        return self.table("scores")

    @property
    def rejects(self) -> Table:
        """What is missing, with its reason."""
        return self.table("rejects")

    @property
    def rollouts(self) -> Table:
        """Every trajectory of every training."""
        return self.table("rollouts")

    @property
    def audits(self) -> Table:
        """What comparing two judges found."""
        return self.table("audits")

    @property
    def evaluations(self) -> Table:
        """What policies answered on benchmarks, with the verdicts."""
        return self.table("evaluations")

    @property
    def profiles(self) -> Table:
        """How policies fared on the samples of the pool."""
        return self.table("profiles")

    @property
    def rates(self) -> Table:
        """What policies came to on benchmarks, with intervals."""
        return self.table("rates")

    def selections(self) -> list[str]:
        """Names of the selections; :meth:`selection` has the rows of one."""
        return selection_names(self.run.storage)

    def selection(self, name: str = "default") -> Table:
        """The rows of one selection.

        Raises:
            UsageError: the run has no selection of that name.
        """
        selection_files(self.run.storage, name)  # refuses a name that none has
        selections = self._connection.view("selections")
        chosen = duckdb.ColumnExpression("selection") == duckdb.ConstantExpression(name)
        return Table(f"selection {name}", selections.filter(chosen))

    @property
    def plot(self) -> "Plots":
        """Figures: ``run.plot.box()``."""
        from qibox.opened.plots import Plots

        return Plots(self.run)

    def select(
        self,
        q_band: tuple[float, float] | None = None,
        u_min: float | None = None,
        *,
        box: str | None = None,
        random: int | None = None,
        limit: int | None = None,
        within: "Within | None" = None,
        rank: str | None = None,
        size: int | None = None,
        stratify: str | None = None,
        quota: Sequence[str] = (),
        seed: int = 0,
        name: str = "default",
        **steering: Any,
    ) -> "Chosen":
        """The samples that a box lets through, or some at random; nothing is written.

        Edges are compared with the scores as written, both ends of the band included; they are put
        over ``box``, a manifest's name or path. ``rank``, ``size``, ``stratify``, ``quota`` and
        what steers besides (``where``, ``weights``, ``policy``, ``twins`` in percent) are as
        `qibox select` has them, and ``.write()`` of what comes back does as that does.

        Raises:
            UsageError: the run is not scored, neither box nor number is given or both are, or an
                edge is none.
            QiboxError: no sample is let through.
        """
        from qibox.opened.chosen import Chosen, asked, edges_over, steering_of
        from qibox.selection.frame import make_frame

        how: dict[str, Any] = {"within": within, "seed": seed, "name": name}
        how["frame"] = make_frame(stratify, quota) if stratify is not None else None
        how["size"] = size
        edges = edges_over(q_band, u_min, box, limit, rank)
        request = asked(*edges, random, steering_of(steering), **how)
        return Chosen(self.run, request, self._connection)

    def sample(self, sample_id: str) -> Sample:
        """One sample with its scores, all its answers and their verdicts.

        Raises:
            UsageError: no sample has that id; the message names near ones.
        """
        rows = self._rows("pool", sample_id)
        if not rows:
            raise UsageError(self._unknown(sample_id))
        scores = self._rows("scores", sample_id)
        judgments: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
        for row in self._rows("judgments", sample_id, "judge"):
            judgments.setdefault((row["model"], row["k"]), []).append(row)
        answers = tuple(
            Answer(row, tuple(judgments.get((row["model"], row["k"]), ())))
            for row in self._rows("responses", sample_id, "model, k")
        )
        return Sample(rows[0], scores[0] if scores else None, answers, self._selections(sample_id))

    def _rows(self, view: str, sample_id: str, order: str = "sample_id") -> list[dict[str, Any]]:
        query = f"select * from {view} where sample_id = ? order by {order}"
        rows = self._connection.sql(query, params=[sample_id]).to_arrow_table()
        return list(rows.to_pylist())

    def _selections(self, sample_id: str) -> tuple[str, ...]:
        query = "select distinct selection from selections where sample_id = ? order by all"
        return tuple(name for (name,) in self._connection.execute(query, [sample_id]).fetchall())

    def _unknown(self, sample_id: str) -> str:
        found = self._connection.execute(
            "select sample_id from pool "
            "order by damerau_levenshtein(sample_id, ?), sample_id limit ?",
            [sample_id, NEAR_IDS],
        ).fetchall()
        where = f"no sample '{sample_id}' in run {self.run.url}"
        if not found:
            return f"{where}: its pool has not been read yet, `qibox score` does that"
        return f"{where}: near ids are {', '.join(name for (name,) in found)}"


def _guarded(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The same batches; DuckDB's error in a later one comes as Arrow's, and leaves as ours."""
    try:
        yield from reader
    except (OSError, pa.ArrowException) as error:
        raise query_trouble(error) from error
