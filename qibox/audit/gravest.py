"""The gravest disagreements of two judges, one a sample."""

import duckdb
import pyarrow as pa

GRAVEST = 20  # samples

DISAGREEMENTS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("model", pa.string()),
        ("k", pa.int32()),
        ("risk", pa.string()),
        ("category", pa.string()),
        ("severity", pa.int32()),
        ("safe", pa.bool_()),  # by the judge that is compared with
        ("other_safe", pa.bool_()),
        ("score", pa.float64()),
        ("other_score", pa.float64()),
    ]
)

# Of each sample the answer that they are the furthest apart on; a flag that turns comes first.
_QUERY = f"""
with apart as (
    select s, risk, category, severity, model, k, a_safe, b_safe, a_score, b_score,
           coalesce(a_safe <> b_safe, false) as turned, abs(a_score - b_score) as points
    from pairs where a_safe <> b_safe or abs(a_score - b_score) > 1e-9
), worst as (
    select *, row_number() over (
        partition by s order by turned desc, points desc, model, k
    ) as place from apart
)
select sample_id, model, k, worst.risk, worst.category, worst.severity, a_safe as safe,
       b_safe as other_safe, a_score as score, b_score as other_score
from worst join samples using (s) where place = 1
order by turned desc, points desc, worst.severity desc nulls last, sample_id limit {GRAVEST}
"""


def gravest(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """At most GRAVEST rows of DISAGREEMENTS from the table ``pairs``, the gravest first.

    Graver is an answer that one calls safe and the other unsafe; then more points between their
    scores; then a sample of higher severity.
    """
    return connection.sql(_QUERY).to_arrow_table().cast(DISAGREEMENTS)
