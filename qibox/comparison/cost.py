"""How long a run's trainings took, for what more of them will cost."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from qibox.policies.directory import read_lineage
from qibox.run.directory import Run
from qibox.run.finished import policy_names
from qibox.run.kept_files import read_json_lines
from qibox.run.layout import policy_path


@dataclass(frozen=True)
class Cost:
    """Seconds of trainings by one recipe; medians."""

    trainings: int  # that were measured
    start: float  # to load and to keep the policy
    step: float

    def hours(self, trainings: int, steps: int) -> float:
        """Hours of so many trainings of so many steps, one after the other."""
        return trainings * (self.start + steps * self.step) / 3600


def cost_of(runs: Iterable[Run], recipe: str) -> Cost | None:
    """What trainings by a recipe of that name took in these runs; None: there are none.

    A step's seconds are the trainer's own. The first is left out where there are others, for it
    sets things up; so is what was trained in more than one go, whose seconds are of the last.
    """
    starts, steps = [], []
    for run in runs:
        for policy in policy_names(run.storage):
            lineage = read_lineage(run.storage, policy)
            if lineage is None or "snapshot" in lineage:
                continue
            if lineage["plan"]["recipe"]["name"] != recipe:
                continue
            rows = read_json_lines(run.storage, policy_path(policy, "metrics.jsonl"))
            times = [row["step_time"] for row in rows if row.get("step_time") is not None]
            if times and lineage["seconds"] >= sum(times):
                starts.append(lineage["seconds"] - sum(times))
                steps.append(statistics.fmean(times[1:] or times))
    if not steps:
        return None
    return Cost(len(steps), statistics.median(starts), statistics.median(steps))
