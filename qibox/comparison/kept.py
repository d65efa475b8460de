"""A comparison's folder in its run: comparisons/<name>/.

plan.yaml, written first; registration.yaml, where there is one; replicates.parquet,
comparisons.parquet, comparison.png and report.md, written anew after each replicate.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from qibox.comparison.analysis import Differences, comparisons_table, first_judge, pairs_of
from qibox.comparison.design import Replicate, comparison_path, trials_of
from qibox.comparison.earlier import PLAN, REPLICATES_FILE, places_of
from qibox.comparison.registration import registered
from qibox.comparison.replicates import pool_of, replicates_table, sample_differences
from qibox.comparison.report import report
from qibox.comparison.statistics import Floats
from qibox.errors import UsageError
from qibox.fields import changed
from qibox.figures.comparison import comparison_figure
from qibox.figures.style import keep
from qibox.manifests.comparison import ComparisonManifest
from qibox.run.directory import Run

COMPARISONS_FILE = "comparisons.parquet"


def claim(run: Run, plan: ComparisonManifest) -> None:
    """Write the plan, unless this very one is there.

    Raises:
        UsageError: a comparison of that name is there with another plan; more seeds are no other.
    """
    name = comparison_path(plan.name, PLAN)
    now = plan.model_dump(mode="json")
    if run.storage.exists(name):
        there = run.storage.read_mapping(name)
        other = [field for field in changed(there, now, type(plan)) if field != "seeds"]
        if other:
            raise UsageError(
                f"comparison '{plan.name}' is there with another {', '.join(other)}: give this one "
                "another name",
                fields=["name"],
            )
    run.storage.write_mapping(name, now)


def keep_results(
    run: Run,
    plan: ComparisonManifest,
    replicates: Sequence[Replicate],
    runs: Mapping[str, Run],
    pools: Mapping[str, str],
    last: int,
    earlier: pa.Table,
) -> tuple[pa.Table, str]:
    """Write tables, figure and report of what there is so far; give back comparisons and report.

    ``earlier`` are rows of further replicates, finished elsewhere.
    """
    own = replicates_table(plan, replicates, runs, pools, last)
    table = pa.concat_tables([own, earlier])
    others = len({*places_of(earlier)})
    samples = {} if others else _sample_differences(plan, replicates, runs, pools, own)
    comparisons = comparisons_table(plan, table, samples)
    total = len(replicates) + others
    text = report(plan, table, comparisons, total, registered(run.storage, plan))
    storage = run.storage
    storage.write_table(comparison_path(plan.name, REPLICATES_FILE), table)
    storage.write_table(comparison_path(plan.name, COMPARISONS_FILE), comparisons)
    figure = comparison_figure(plan, table.to_pandas(), comparisons.to_pandas())
    keep(storage, comparison_path(plan.name, "comparison.png"), figure)
    storage.write_text(comparison_path(plan.name, "report.md"), text)
    return comparisons, text


def _sample_differences(
    plan: ComparisonManifest,
    replicates: Sequence[Replicate],
    runs: Mapping[str, Run],
    pools: Mapping[str, str],
    table: pa.Table,
) -> Differences:
    """For each pair of arms its samples' differences, an array a replicate that has both."""
    judges = list(dict.fromkeys(filter(None, table["judge"].to_pylist())))
    if not judges:
        return {}
    judge = first_judge(plan, judges)
    found: dict[tuple[str, str], list[Floats]] = {pair: [] for pair in pairs_of(plan)}
    for replicate in replicates:
        names = {trial.arm.name: trial.name for trial in trials_of(plan, replicate)}
        policies = {pair: (names[pair[0]], names[pair[1]]) for pair in found}
        world = runs[replicate.world.run]
        pool = pools[pool_of(plan, replicate)]
        by_pair = sample_differences(world, plan, pool, judge, list(policies.values()))
        for pair, each in found.items():
            if len(differences := by_pair[policies[pair]]):
                each.append(differences)
    return found
