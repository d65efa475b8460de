"""How far two judges agree: on flags, and on scores.

- accuracy: share of the answers on which both say the same, in [0, 1].
- kappa: Cohen (1960), (p_o − p_e) / (1 − p_e), in [-1, 1]: 1 all the same, 0 as by chance. Null
  where chance alone would make them agree always: both say one thing of every answer.
- alpha: Krippendorff (2004), of the package krippendorff, at most 1, 0 as by chance; nominal, of
  the grounding gap ordinal. Null where only one value is ever given.
- mean error, absolute error: of the other's score less the judge's, in points; within 1: share of
  the scores that are at most one point apart.
- spearman, kendall: rank correlations (tau-b) of scipy, in [-1, 1]; null where a judge gives all
  the same score.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import duckdb
import numpy as np
import numpy.typing as npt

from qibox.audit.pairs import SCORES, Group
from qibox.tables import CRITERIA
from qibox.verdict import FLAGS

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = Mapping[tuple[int, int], int]  # answers by what both said of them
Row: TypeAlias = dict[str, Any]

ORDERED: Final = ("grounding_gap",)
WITHIN: Final = 1.0  # points
SLACK: Final = 1e-9  # scores are sums of weighted criteria
ALPHA_ROWS: Final = 500_000  # krippendorff holds a matrix an answer; more are counted in proportion


def flag_rows(connection: duckdb.DuckDBPyConnection, parts: list[Group]) -> Iterator[Row]:
    """Accuracy, kappa and alpha of each flag in each group; where either is silent is left out."""
    for flag in FLAGS:
        level: Literal["ordinal", "nominal"] = "ordinal" if flag in ORDERED else "nominal"
        for group in parts:
            counts = _counts(connection, flag, group)
            if not counts:
                continue
            found = {
                "accuracy": accuracy(counts),
                "kappa": kappa(counts),
                "alpha": alpha(counts, level),
            }
            yield from _rows("flags", flag, group, found, sum(counts.values()))


def score_rows(connection: duckdb.DuckDBPyConnection, parts: list[Group]) -> Iterator[Row]:
    """Errors and rank correlations of scores in each group; of the criteria over all."""
    for measure in (*SCORES, *CRITERIA):
        for group in parts if measure in SCORES else parts[:1]:
            query = (
                f"select a_{measure}::double as a, b_{measure}::double as b from pairs "
                f"where a_{measure} is not null and b_{measure} is not null and {group.where}"
            )
            columns = connection.execute(query, list(group.values)).fetchnumpy()
            first, second = (np.asarray(columns[name], np.float64) for name in ("a", "b"))
            if len(first):
                yield from _rows("scores", measure, group, errors(first, second), len(first))


def _rows(
    part: str, measure: str, group: Group, found: Mapping[str, float | None], n: int
) -> Iterator[Row]:
    where = {"part": part, "measure": measure, "by": group.by, "among": group.among}
    for statistic, value in found.items():
        yield {**where, "statistic": statistic, "value": value, "n": n}


def _counts(
    connection: duckdb.DuckDBPyConnection, flag: str, group: Group
) -> dict[tuple[int, int], int]:
    rows = connection.execute(
        f"select a_{flag}::int, b_{flag}::int, count(*) from pairs "
        f"where a_{flag} is not null and b_{flag} is not null and {group.where} "
        "group by all order by all",
        list(group.values),
    ).fetchall()
    return {(a, b): n for a, b, n in rows}


def accuracy(counts: Counts) -> float:
    """Share on which both say the same; there is at least one answer."""
    return sum(n for (a, b), n in counts.items() if a == b) / sum(counts.values())


def kappa(counts: Counts) -> float | None:
    """Cohen's kappa; see the module."""
    n = sum(counts.values())
    same = sum(m for (a, b), m in counts.items() if a == b)
    values = {value for pair in counts for value in pair}
    first = {v: sum(m for (a, _), m in counts.items() if a == v) for v in values}
    second = {v: sum(m for (_, b), m in counts.items() if b == v) for v in values}
    chance = sum(first[v] * second[v] for v in values)  # of n², in whole numbers: exact
    return None if chance == n * n else (n * same - chance) / (n * n - chance)


def alpha(counts: Counts, level: Literal["ordinal", "nominal"]) -> float | None:
    """Krippendorff's alpha of two coders; see the module."""
    from krippendorff import alpha as of_values

    if len({value for pair in counts for value in pair}) < 2:
        return None
    pairs = np.array(list(counts), np.float64)  # (distinct pairs, 2)
    times = np.array(list(counts.values()))
    if times.sum() > ALPHA_ROWS:  # off by less than 1e-5
        times = np.maximum(1, np.round(times * (ALPHA_ROWS / times.sum()))).astype(np.int64)
    told = np.repeat(pairs, times, axis=0).T  # (2, answers)
    return float(of_values(reliability_data=told, level_of_measurement=level))


def errors(first: Floats, second: Floats) -> dict[str, float | None]:
    """What the scores of two judges on the same answers, at least one, are apart."""
    apart = second - first
    return {
        "mean error": float(apart.mean()),
        "absolute error": float(np.abs(apart).mean()),
        "within 1": float((np.abs(apart) <= WITHIN + SLACK).mean()),
        **correlations(first, second),
    }


def correlations(first: Floats, second: Floats) -> dict[str, float | None]:
    """Spearman's rho and Kendall's tau-b; see the module."""
    from scipy.stats import kendalltau, spearmanr

    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return {"spearman": None, "kendall": None}
    return {
        "spearman": float(spearmanr(first, second).statistic),
        "kendall": float(kendalltau(first, second).statistic),
    }
