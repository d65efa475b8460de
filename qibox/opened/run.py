"""A run in Python: SQL over its tables, one sample with all that is known of it, its selections."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow as pa

from qibox.catalog.connect import reading
from qibox.catalog.guard import check_query
from qibox.errors import UsageError
from qibox.opened.sample import Answer, Sample
from qibox.run.directory import Run
from qibox.run.finished import selection_files
from qibox.trouble import query_trouble

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

    def interrupt(self) -> None:
        """End the query that is running in another thread; it raises UsageError there."""
        self._connection.interrupt()

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

    @property
    def pool(self) -> duckdb.DuckDBPyRelation:
        """The samples."""
        return self._connection.view("pool")

    @property
    def responses(self) -> duckdb.DuckDBPyRelation:
        """What the panel answered."""
        return self._connection.view("responses")

    @property
    def judgments(self) -> duckdb.DuckDBPyRelation:
        """What the judges said of the responses."""
        return self._connection.view("judgments")

    @property
    def scores(self) -> duckdb.DuckDBPyRelation:
        """Quality and instability of each sample."""
        return self._connection.view("scores")

    def selection(self, name: str = "default") -> duckdb.DuckDBPyRelation:
        """The rows of one selection.

        Raises:
            UsageError: the run has no selection of that name.
        """
        selection_files(self.run.storage, name)  # refuses a name that none has
        selections = self._connection.view("selections")
        chosen = duckdb.ColumnExpression("selection") == duckdb.ConstantExpression(name)
        return selections.filter(chosen)

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
