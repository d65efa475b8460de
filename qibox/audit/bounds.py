"""95 % intervals of the agreement over all answers: percentiles of the bootstrap over samples.

Samples are resampled and not answers, as the answers to one sample are alike. Every figure is one
of sums over the answers of a sample, so all of them share their draws.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

import duckdb
import numpy as np

from qibox.audit.agreement import SLACK, WITHIN, Floats, Row
from qibox.audit.bias import interval, ratio
from qibox.audit.pairs import SCORES
from qibox.evaluation.intervals import resampled_means
from qibox.verdict import FLAGS

VALUES: Final = {"grounding_gap": (0, 1, 2, 3)}  # the other flags are 0 or 1
TELLING: Final = ("mean error", "absolute error", "within 1")


def bounded(connection: duckdb.DuckDBPyConnection, rows: list[Row]) -> Iterator[Row]:
    """The rows, with intervals on accuracy, kappa and errors over all answers."""
    names, found = _sums(connection)
    draws = resampled_means(found) if len(found) else found
    place = {name: at for at, name in enumerate(names)}
    for row in rows:
        measure, name = row["measure"], row["statistic"]
        wanted = f"{measure}: n" in place and name in ("accuracy", "kappa", *TELLING)
        if row["by"] != "all" or row["value"] is None or not wanted:
            yield row
            continue

        of = partial(_kappa if name == "kappa" else _share, place, measure, name)
        _, low, high = interval(found, draws, of)
        yield row | {"low": low, "high": high}


def _share(place: Mapping[str, int], measure: str, name: str, means: Floats) -> Floats:
    return ratio(means[:, place[f"{measure}: {name}"]], means[:, place[f"{measure}: n"]])


def _kappa(place: Mapping[str, int], measure: str, name: str, means: Floats) -> Floats:
    """NaN where chance alone would make the judges agree always."""
    n = means[:, place[f"{measure}: n"]]
    chance = np.zeros(len(means))
    for value in VALUES.get(measure, (0, 1)):
        a, b = (means[:, place[f"{measure}: {judge}{value}"]] for judge in "ab")
        chance += ratio(a * b, n * n)
    return ratio(_share(place, measure, "accuracy", means) - chance, 1 - chance)


def _sums(connection: duckdb.DuckDBPyConnection) -> tuple[list[str], Floats]:
    """Names of the sums, and each sample's: (samples, sums)."""
    wanted: dict[str, str] = {}
    for flag in FLAGS:
        a, b = f"a_{flag}::int", f"b_{flag}::int"
        both = f"{a} is not null and {b} is not null"
        wanted[f"{flag}: n"] = f"count(*) filter ({both})"
        wanted[f"{flag}: accuracy"] = f"count(*) filter ({a} = {b})"
        for value in VALUES.get(flag, (0, 1)):
            wanted[f"{flag}: a{value}"] = f"count(*) filter ({a} = {value} and {both})"
            wanted[f"{flag}: b{value}"] = f"count(*) filter ({b} = {value} and {both})"
    for score in SCORES:
        d = f"(b_{score} - a_{score})"
        wanted[f"{score}: n"] = f"count({d})"
        wanted[f"{score}: mean error"] = f"coalesce(sum({d}), 0)"
        wanted[f"{score}: absolute error"] = f"coalesce(sum(abs({d})), 0)"
        wanted[f"{score}: within 1"] = f"count(*) filter (abs({d}) <= {WITHIN + SLACK!r})"
    parts = ", ".join(f"({sum})::double" for sum in wanted.values())
    columns = connection.execute(f"select {parts} from pairs group by s order by s").fetchnumpy()
    return list(wanted), np.stack([np.asarray(c, np.float64) for c in columns.values()], axis=1)
