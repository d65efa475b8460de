"""What a selection is made of, before and after: counts by kind of risk, category and severity.

A stratum is starved when it falls to nothing or below a fifth of its share: a box over a whole
pool can leave out one kind of harm altogether, and a policy trained on the rest forgets it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb

Dimension = Literal["risk", "category", "source", "severity"]
DIMENSIONS: tuple[Dimension, ...] = ("risk", "category", "severity")
STARVED_BELOW = 0.2  # of the share that the stratum had in the pool; our choice


@dataclass(frozen=True)
class MixRow:
    """One stratum: how many samples of the pool and of the selection are in it."""

    dimension: Dimension
    value: str  # "unknown" where the source does not tell
    before: int
    after: int
    share_before: float  # of the pool, [0, 1]
    share_after: float  # of the selection, [0, 1]

    @property
    def starved(self) -> bool:
        """Whether almost nothing of the stratum is left."""
        return self.share_after < STARVED_BELOW * self.share_before


def count_mix(connection: duckdb.DuckDBPyConnection) -> Iterator[MixRow]:
    """Count the tables samples and chosen, dimension by dimension, the largest stratum first."""
    for dimension in DIMENSIONS:
        rows = connection.execute(
            f"select {dimension}, count(*), count(chosen.sample_id) "
            "from samples left join chosen using (sample_id) group by all order by 2 desc, 1"
        ).fetchall()
        yield from mix_rows(dimension, rows)


def mix_rows(dimension: Dimension, counts: Sequence[tuple[str, int, int]]) -> Iterator[MixRow]:
    """Shares from the (value, before, after) of one dimension."""
    before = sum(count for _, count, _ in counts)
    after = sum(count for _, _, count in counts)
    for value, had, has in counts:
        yield MixRow(dimension, value, had, has, had / before, has / after if after else 0.0)


def starved(mix: Sequence[MixRow]) -> list[str]:
    """One sentence for each stratum that is starved."""
    return [
        f"{row.dimension} '{row.value}' "
        + (
            f"falls to nothing (was {row.before}, {row.share_before:.1%})"
            if not row.after
            else f"falls from {row.share_before:.1%} to {row.share_after:.1%} ({row.after} samples)"
        )
        for row in mix
        if row.starved
    ]
