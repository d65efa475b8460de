"""Collects what a comparison's policies came to: a row a policy and measure, as one table.

Reads the evaluations and rollouts of the worlds' runs; writes nothing. Policies that are not there
yet, or not evaluated yet, are left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import pyarrow as pa

from qibox.catalog.connect import reading
from qibox.comparison.design import Replicate, Trial, trials_of
from qibox.comparison.mediators import mediators
from qibox.comparison.statistics import Floats
from qibox.evaluation.measures import measured
from qibox.manifests.comparison import ComparisonManifest
from qibox.run.directory import Run
from qibox.tables import REPLICATES

Row = dict[str, Any]

_RATES = """
select policy, judge, measure, among, value, samples from rates
where pool = $pool and stage = 'trained' and "by" in ('all', 'risk')
  and list_contains($policies, policy)
"""
_ANSWERS = """
select * from evaluations
where pool = $pool and stage = 'trained' and judge = $judge and risk = $among
  and list_contains($policies, policy)
"""


def world_name(replicate: Replicate) -> str:
    """What a world is called in tables: the last part of its run's path."""
    return PurePath(replicate.world.run.rstrip("/")).name


def pool_of(plan: ComparisonManifest, replicate: Replicate) -> str:
    """The held-out pool's manifest that a replicate is evaluated on."""
    return replicate.world.pool or plan.pool


def replicates_table(
    plan: ComparisonManifest,
    replicates: Sequence[Replicate],
    runs: Mapping[str, Run],
    pools: Mapping[str, str],
    last: int,
) -> pa.Table:
    """All rows that there are so far, as :data:`qibox.tables.REPLICATES` has them.

    Args:
        runs: each world's run, by its path.
        pools: the name of each held-out pool's manifest, by what the plan calls it.
        last: the step after which trainings end.
    """
    rows: list[Row] = []
    for replicate in replicates:
        run = runs[replicate.world.run]
        trials = list(trials_of(plan, replicate))
        known = {
            policy: _head(trial, step)
            for trial in trials
            for policy, step in zip(
                trial.policies(plan.checkpoints), (*plan.checkpoints, last), strict=True
            )
        }
        rows += _rated(run, pools[pool_of(plan, replicate)], known)
        for trial in trials:
            head = _head(trial, last)
            rows += [head | row for row in mediators(run, trial.name)]
    return pa.Table.from_pylist(rows, schema=REPLICATES).sort_by(
        [(name, "ascending") for name in REPLICATES.names[:8]]
    )


def _head(trial: Trial, step: int) -> Row:
    replicate = trial.replicate
    return {
        "comparison": trial.comparison,
        "world": world_name(replicate),
        "seed": replicate.seed,
        "arm": trial.arm.name,
        "step": step,
    }


def _rated(run: Run, pool: str, known: Mapping[str, Row]) -> Iterable[Row]:
    with reading(run, {"rates"}) as connection:
        wanted = {"pool": pool, "policies": list(known)}
        found = connection.sql(_RATES, params=wanted).to_arrow_table()
    for row in found.to_pylist():
        yield known[row.pop("policy")] | row


def sample_differences(
    run: Run, plan: ComparisonManifest, pool: str, judge: str, pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Floats]:
    """For pairs of policies the primary measure's difference on each sample that both have.

    Returns:
        One number a sample, in [-1, 1], by pair.  # (samples,)
    """
    policies = sorted({policy for pair in pairs for policy in pair})
    wanted = {"pool": pool, "judge": judge, "among": plan.among, "policies": policies}
    with reading(run, {"evaluations"}) as connection:
        rows = connection.sql(_ANSWERS, params=wanted).to_arrow_table()
    frame = rows.select(["policy", "sample_id"]).to_pandas()
    frame["value"] = measured(rows)[plan.measure].to_numpy(zero_copy_only=False)
    means = frame.groupby(["sample_id", "policy"])["value"].mean().unstack("policy")
    means = means.reindex(columns=policies)
    return {
        (arm, other): (means[arm] - means[other]).dropna().to_numpy(float) for arm, other in pairs
    }
