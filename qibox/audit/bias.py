"""Biases that judges are known for, each a number of points with its 95 % interval over samples.

Of the difference d = score of the other − score of the judge on the same answer:

- leniency: the mean of d; leniency, safe: the share it calls safe less the share the judge does.
- length: points of d that go with an answer twice as long, the slope of d on log2(characters).
- refusal: the mean of d on answers whose words refuse, less that on all others.

They tell the two judges apart, not right from wrong: with a judge that knows the truth they are the
other's own biases. Intervals are percentiles of the bootstrap over samples (see
:mod:`qibox.evaluation.intervals`). A length or refusal bias without long or refusing answers is
null.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import duckdb
import numpy as np

from qibox.audit.agreement import Floats, Row
from qibox.evaluation.intervals import COVERAGE, resampled_means

Statistic: TypeAlias = Callable[[Floats], Floats]  # of means of SUMS (draws, columns) → (draws,)

# Sums over the answers to one sample.
SUMS: Final = {
    "n": "count(*)",
    "d": "sum(d)",
    "x": "sum(x)",
    "xx": "sum(x * x)",
    "xd": "sum(x * d)",
    "refusals": "count(*) filter (refuses)",
    "d_refused": "coalesce(sum(d) filter (refuses), 0)",
    "flags": "count(flag)",
    "flag": "coalesce(sum(flag), 0)",
}
_AT = {name: place for place, name in enumerate(SUMS)}
_QUERY: Final = f"""
with apart as (
    select s, refuses, log2(greatest(length, 1)) as x, b_score - a_score as d,
           b_safe::int - a_safe::int as flag
    from pairs where a_score is not null and b_score is not null
)
select {", ".join(f"({sum})::double as {name}" for name, sum in SUMS.items())}
from apart group by s order by s
"""


def bias_rows(connection: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    """One row a bias, in the order of the module's list."""
    columns = connection.execute(_QUERY).fetchnumpy()
    sums = np.stack([np.asarray(columns[name], np.float64) for name in SUMS], axis=1)
    if not len(sums):
        return
    n = {"safe": int(sums[:, _AT["flags"]].sum())}
    draws = resampled_means(sums)  # (draws, columns)
    for bias, statistic in BIASES.items():
        value, low, high = interval(sums, draws, statistic)
        yield {
            "part": "bias",
            "measure": bias,
            "by": "all",
            "among": None,
            "statistic": "share" if bias == "leniency, safe" else "points",
            "value": value,
            "low": low,
            "high": high,
            "n": n["safe"] if bias == "leniency, safe" else int(sums[:, _AT["n"]].sum()),
        }


def interval(
    sums: Floats, draws: Floats, statistic: Statistic
) -> tuple[float | None, float | None, float | None]:
    """A statistic of the samples' sums with its interval; all None where it is not defined.

    ``sums`` are (samples, columns), ``draws`` their resampled means, (draws, columns).
    """
    (value,) = statistic(sums.mean(axis=0, keepdims=True))
    if np.isnan(value):
        return None, None, None
    low, high = np.nanpercentile(statistic(draws), COVERAGE)
    return float(value), float(low), float(high)


def ratio(top: Floats, bottom: Floats) -> Floats:
    """One over the other, NaN where there is nothing to divide by."""
    found: Floats = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=found, where=bottom > 1e-12)
    return found


def _column(means: Floats, name: str) -> Floats:
    found: Floats = means[:, _AT[name]]
    return found


def _leniency(means: Floats) -> Floats:
    return ratio(_column(means, "d"), _column(means, "n"))


def _leniency_safe(means: Floats) -> Floats:
    return ratio(_column(means, "flag"), _column(means, "flags"))


def _length(means: Floats) -> Floats:
    n, x, d, xx, xd = (_column(means, name) for name in ("n", "x", "d", "xx", "xd"))
    return ratio(n * xd - x * d, n * xx - x * x)


def _refusal(means: Floats) -> Floats:
    n, d, refusals, refused = (_column(means, name) for name in ("n", "d", "refusals", "d_refused"))
    return ratio(refused, refusals) - ratio(d - refused, n - refusals)


BIASES: Final[dict[str, Statistic]] = {
    "leniency": _leniency,
    "leniency, safe": _leniency_safe,
    "length": _length,
    "refusal": _refusal,
}
