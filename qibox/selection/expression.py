"""An expression that a person typed: one value a sample, that only reads and is the same each time.

Parsed by DuckDB itself: what is taken is whatever makes ``select EXPRESSION`` a select of one thing
from nothing, so that it stands in parentheses in any query of ours.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from qibox.catalog.connect import VIEWS
from qibox.catalog.guard import check_query
from qibox.errors import QiboxError, UsageError
from qibox.trouble import query_trouble

_CLAUSES = ("where_clause", "having", "qualify", "sample")
_LISTS = ("modifiers", "group_expressions", "group_sets")

# Of DuckDB's functions, those whose value is not settled by their arguments.
_CHANGING = "select distinct function_name from duckdb_functions() where stability <> 'CONSISTENT'"


def check_expression(
    connection: duckdb.DuckDBPyConnection, text: str, table: str, field: str
) -> tuple[str, str]:
    """Return the expression in parentheses, and its SQL type over a table's columns.

    Raises:
        UsageError: no SQL, more than one expression, a column that is not there, or a value that
            changes from call to call.
    """
    query = f"select {text}\n"
    try:
        check_query(connection, query)
        tree = _tree(connection, query)
        _require_one(tree, text)
        _require_settled(connection, tree)
        expression = f"({text}\n)"
        return expression, _type(connection, expression, table)
    except QiboxError as error:
        message = f"'{text}' is no condition or value of a sample: {error}"
        raise UsageError(message, fields=[field]) from error


def _type(connection: duckdb.DuckDBPyConnection, expression: str, table: str) -> str:
    try:
        found = connection.execute(f"describe select {expression} from {table}").fetchall()
    except duckdb.Error as error:
        raise query_trouble(error) from error
    return str(found[0][1])


def views_named(text: str) -> set[str]:
    """Which of a run's views an expression may ask in a query of its own."""
    words = set(re.findall(r"\w+", text.lower()))
    return {view for view in VIEWS if view in words}


def _tree(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    (row,) = connection.execute("select json_serialize_sql(?)", [query]).fetchall()
    parsed = json.loads(row[0])
    if parsed.get("error"):
        raise UsageError(str(parsed.get("error_message")))
    node: dict[str, Any] = parsed["statements"][0]["node"]
    return node


def _require_one(node: dict[str, Any], text: str) -> None:
    plain = node["type"] == "SELECT_NODE" and node["from_table"]["type"] == "EMPTY"
    bare = plain and not any(node[name] for name in _CLAUSES + _LISTS)
    if not bare or node["cte_map"]["map"] or len(node["select_list"]) != 1:
        raise UsageError("give one expression over a sample's columns, and no query around it")
    if node["select_list"][0]["class"] == "STAR" or text.rstrip().endswith(";"):
        raise UsageError("give one expression, without * and semicolon")


def _require_settled(connection: duckdb.DuckDBPyConnection, node: dict[str, Any]) -> None:
    changing = {row[0] for row in connection.execute(_CHANGING).fetchall()}
    for part in _parts(node):
        name = part.get("function_name") or (part.get("column_names") or [""])[-1]
        if name in changing:
            raise UsageError(f"{name} gives another value each time, so the choice would too")
        if part.get("sample"):
            raise UsageError("a sample that is drawn differs each time, so the choice would too")


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """All nodes of a parsed query."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield from _parts(each)
