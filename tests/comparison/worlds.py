"""A comparison's plan and made-up rows of replicates."""

from typing import Any

import pyarrow as pa

from qibox.manifests.comparison import ComparisonManifest
from qibox.tables import REPLICATES

ARMS = [{"name": "random", "select": "--random 8"}, {"name": "box", "select": "--limit 8"}]


def plan(**changes: Any) -> ComparisonManifest:
    fields = {"name": "made", "about": "Made up.", "arms": ARMS, "seeds": range(6), "steps": 4}
    return ComparisonManifest.model_validate(fields | changes)


def row(arm: str, seed: int, value: float | None, **changes: Any) -> dict[str, Any]:
    fields = {"comparison": "made", "world": "w", "step": 4, "judge": "j", "samples": 9}
    measured = {"measure": "safety", "among": "implicit"}
    return fields | measured | {"arm": arm, "seed": seed, "value": value} | changes


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=REPLICATES)
