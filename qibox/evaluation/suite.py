"""A suite's benchmarks on this machine, and the averages over them.

Reads manifests, looks where they say the data are, and averages rows of the frame of rates
(:func:`qibox.evaluation.rates.rates`); reads no sample and writes nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qibox.errors import PoolNotFoundError, UsageError
from qibox.evaluation.measures import GROUPED
from qibox.manifests.load import load_manifest
from qibox.manifests.pool import PoolManifest
from qibox.manifests.suite import SuiteManifest
from qibox.pool.read import find_pool

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FoundSuite:
    """A suite's benchmarks by label, in its order: those to evaluate and those to name."""

    here: dict[str, PoolManifest]  # resolved: parts written out, hub commits pinned
    missing: dict[str, str]  # one sentence: what is not there and how to obtain it


def find_suite(suite: SuiteManifest) -> FoundSuite:
    """Say which benchmarks of a suite can be read from this machine.

    Raises:
        UsageError: a benchmark's manifest is not there or does not hold, or two pools share a name.
    """
    found = FoundSuite({}, {})
    for label, manifest in suite_pools(suite).items():
        try:
            found.here[label] = find_pool(manifest)
        except PoolNotFoundError as error:
            found.missing[label] = str(error)
    return found


def suite_pools(suite: SuiteManifest) -> dict[str, PoolManifest]:
    """Return each benchmark's pool manifest by its label, in the suite's order.

    Raises:
        UsageError: as :func:`find_suite`.
    """
    pools = {each.label: load_manifest(PoolManifest, each.pool) for each in suite.benchmarks}
    labels: dict[str, str] = {}
    for label, manifest in pools.items():
        if manifest.name in labels:
            raise UsageError(
                f"suite {suite.name}: '{labels[manifest.name]}' and '{label}' are both pools named "
                f"'{manifest.name}': give one of their manifests another name"
            )
        labels[manifest.name] = label
    return pools


def averages(frame: "pd.DataFrame", pools: Collection[str]) -> "pd.DataFrame":
    """Average safety and helpfulness over pools, each weighing the same.

    Returns one row for each judge, policy, stage and measure, in the frame's order, with value, low
    and high in [0, 1] and the number of benchmarks, which are those of ``pools`` that this judge
    judged. All three are null where a policy lacks one of them: an average over others would not
    compare.

    The interval is recovered from the benchmarks' own, whose samples are independent: its lower
    half is the root of the sum of their squared lower halves, divided by their number (Zou &
    Donner, Statistics in Medicine 27, 2008, 1693-1702).
    """
    whole = frame[
        (frame["by"] == "all") & frame["measure"].isin(GROUPED) & frame["pool"].isin(list(pools))
    ]
    whole = whole.assign(
        below=(whole["value"] - whole["low"]) ** 2, above=(whole["high"] - whole["value"]) ** 2
    )
    wanted = whole.groupby("judge")["pool"].nunique()
    keys = ["judge", "policy", "stage", "measure"]
    mean = whole.groupby(keys, sort=False).agg(
        value=("value", "mean"),
        below=("below", "sum"),
        above=("above", "sum"),
        counted=("value", "count"),
    )
    mean = mean.reset_index()
    number = mean["judge"].map(wanted)
    mean["low"] = mean["value"] - mean["below"] ** 0.5 / number
    mean["high"] = mean["value"] + mean["above"] ** 0.5 / number
    mean["benchmarks"] = number
    mean.loc[mean["counted"] < number, ["value", "low", "high"]] = None
    return mean[[*keys, "value", "low", "high", "benchmarks"]]
