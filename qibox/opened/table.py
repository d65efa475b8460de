"""One of a run's tables in Python: nothing of it is read until it is asked for."""

from typing import TYPE_CHECKING, Any, Final, overload

import duckdb
import pyarrow as pa

from qibox.errors import UsageError
from qibox.opened.html import framed, table, text
from qibox.trouble import query_trouble

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

SHOWN: Final = 5  # rows in a notebook
PICTURES: Final = ("image", "images")  # not read only to be shown


class Table:
    """A view of a run, or a part of one: as pandas, Arrow or polars, whole or by columns.

    >>> run.scores.df()                              # all of it as a pandas frame
    >>> run.scores["quality"].mean()                 # one column, the only one that is read
    >>> run.judgments[["model", "score"]]            # some columns
    >>> run.scores.where("instability > 3").arrow()  # some rows, by a condition in SQL
    """

    def __init__(self, name: str, relation: duckdb.DuckDBPyRelation) -> None:
        self.name = name
        self.relation = relation  # for what DuckDB can do besides

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.relation.columns)

    def __len__(self) -> int:
        """How many rows there are; counted each time."""
        ((count,),) = self.relation.aggregate("count(*)").fetchall()
        return int(count)

    def select(self, *columns: str) -> "Table":
        """The same rows with some of the columns.

        Raises:
            UsageError: there is no such column.
        """
        for column in columns:
            if column not in self.columns:
                raise UsageError(f"no column '{column}' in {self.name}: {', '.join(self.columns)}")
        chosen = [duckdb.ColumnExpression(column) for column in columns]
        return Table(self.name, self.relation.select(*chosen))

    def where(self, condition: str) -> "Table":
        """The rows that a condition in SQL holds for.

        Raises:
            UsageError: it is no condition over these columns.
        """
        try:
            return Table(self.name, self.relation.filter(condition))
        except duckdb.Error as error:
            raise query_trouble(error) from error

    def head(self, rows: int = SHOWN) -> "Table":
        """The first rows."""
        return Table(self.name, self.relation.limit(rows))

    def df(self) -> "pd.DataFrame":
        """All of it as a pandas frame; what is missing is NaN, None or NaT."""
        frame: pd.DataFrame = self.relation.df()
        return frame

    def arrow(self) -> pa.Table:
        """All of it as an Arrow table."""
        return self.relation.to_arrow_table()

    def polars(self) -> "pl.DataFrame":
        """All of it as a polars frame.

        Raises:
            UsageError: polars is not installed.
        """
        try:
            import polars
        except ImportError as error:
            raise UsageError("polars is not installed: `pip install polars` does that") from error
        frame = polars.from_arrow(self.arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows as tuples."""
        return self.relation.fetchall()

    @overload
    def __getitem__(self, columns: str) -> "pd.Series[Any]": ...
    @overload
    def __getitem__(self, columns: list[str]) -> "pd.DataFrame": ...
    def __getitem__(self, columns: str | list[str]) -> "pd.Series[Any] | pd.DataFrame":
        """One column as a pandas series, or several as a frame; the others are not read.

        Raises:
            UsageError: there is no such column.
        """
        if isinstance(columns, str):
            return self.select(columns).df()[columns]
        return self.select(*columns).df()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """What pyarrow, polars and pandas read it by: ``polars.DataFrame(run.scores)``."""
        return self.relation.to_arrow_reader().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self):,} rows × {len(self.columns)} columns; .df() is pandas>"

    def _repr_html_(self) -> str:
        shown = [name for name in self.columns if name not in PICTURES]
        rows = self.select(*shown).head().fetchall()
        count = f"<p>{text(self.name)}: {len(self):,} rows, {len(self.columns)} columns</p>"
        return framed(count, table(shown, rows))
