"""Class numbers as the names that a data set gives them."""

import json
from typing import Any

import pyarrow as pa


def labels_of(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of the classes by column, as the datasets library writes them into a Parquet file."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features: dict[str, Any] = told["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {
        column: [str(name) for name in feature["names"]]
        for column, feature in features.items()
        if isinstance(feature, dict)
        and feature.get("_type") == "ClassLabel"
        and isinstance(feature.get("names"), list)
    }


def with_names(table: pa.Table, labels: dict[str, list[str]]) -> pa.Table:
    """The table with names for numbers; a number that has no name (−1: unlabelled) is null."""
    for column, names in labels.items():
        if column not in table.column_names or not pa.types.is_integer(table[column].type):
            continue
        known = range(len(names))
        named = [names[v] if v in known else None for v in table[column].to_pylist()]
        at = table.column_names.index(column)
        table = table.set_column(at, column, pa.array(named, pa.string()))
    return table
