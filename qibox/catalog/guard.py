"""What a query may do: read, in one statement."""

import re

import duckdb

from qibox.errors import UsageError
from qibox.trouble import query_trouble

_READING = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
_SPACE = r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)"
_EXPLAIN = re.compile(rf"(?is)\A{_SPACE}*explain(?:{_SPACE}+analyze\b)?{_SPACE}*(?:\([^)]*\))?")


def check_query(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """Return the query if it is one statement that only reads.

    Raises:
        UsageError: not SQL, no statement, several, or one that is not a SELECT (or FROM, WITH,
            VALUES, DESCRIBE, SHOW, SUMMARIZE) or the EXPLAIN of one.
    """
    statements = _parse(connection, query)
    if len(statements) != 1:
        raise UsageError(
            f"give one statement, not {len(statements)}: several queries are several calls"
            if statements
            else 'there is no statement in the query: try "select * from scores limit 5"'
        )
    kind = statements[0].type
    if kind == duckdb.StatementType.EXPLAIN:
        inner = _parse(connection, _EXPLAIN.sub("", query, count=1))
        kind = inner[0].type if len(inner) == 1 else duckdb.StatementType.MULTI
        if kind == duckdb.StatementType.SELECT:
            return query
    if kind not in _READING:
        raise UsageError(
            f"{kind.name} is refused: a run is read-only, "
            "use SELECT, WITH, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN"
        )
    return query


def split_queries(connection: duckdb.DuckDBPyConnection, text: str) -> list[str]:
    """The statements of a text, each as it stands there.

    Raises:
        UsageError: not SQL.
    """
    return [statement.query for statement in _parse(connection, text)]


def _parse(connection: duckdb.DuckDBPyConnection, query: str) -> list[duckdb.Statement]:
    try:
        return connection.extract_statements(query)
    except duckdb.Error as error:
        raise query_trouble(error) from error
