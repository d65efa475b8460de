"""What a training's rollouts say of how it learned: what an arm's effect may have come by."""

from collections.abc import Iterator
from typing import Any

from qibox.catalog.connect import reading
from qibox.run.directory import Run

SPREAD = "groups with spread"  # share of groups that taught something
RISKY = "advantage on risky samples"  # their share of all absolute advantage of drafts
CORRECTED = "corrected"  # share of unsafe drafts whose correction was safe
MEDIATORS = (SPREAD, RISKY, CORRECTED)

_QUERY = """
select avg((not zero_variance)::int) as spread,
       sum(abs(draft_advantage)) filter (risk <> 'none')
           / nullif(sum(abs(draft_advantage)) filter (risk is not null), 0) as risky,
       avg(corrected::int) filter (reflection is not null) as corrected,
       count(*) as rollouts
from rollouts where policy = $policy
"""


def mediators(run: Run, policy: str) -> Iterator[dict[str, Any]]:
    """Each mediator of a policy's whole training, in [0, 1]; null where nothing could be counted.

    Nothing where the policy has no rollouts.
    """
    with reading(run, {"rollouts"}) as connection:
        found = connection.execute(_QUERY, {"policy": policy}).fetchone()
    assert found is not None  # an aggregate is one row
    *values, rollouts = found
    if rollouts:
        for name, value in zip(MEDIATORS, values, strict=True):
            yield {"judge": None, "measure": name, "among": None, "value": value, "samples": None}
