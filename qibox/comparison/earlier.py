"""Replicates that were finished elsewhere: counted as they were kept, and not trained again.

An experiment outgrows a machine, or a day. What `qibox compare` keeps in a comparison's folder,
its plan and its replicates as a small Parquet file, is enough to go on with in another run; what
the answers to single samples were is not in it, so an interval over samples too is left out.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from qibox.comparison.analysis import first_judge, judge_names
from qibox.comparison.design import Replicate
from qibox.comparison.replicates import world_name
from qibox.errors import UsageError
from qibox.fields import changed
from qibox.manifests.comparison import ComparisonManifest
from qibox.run.storage import Storage
from qibox.tables import REPLICATES

PLAN = "plan.yaml"
REPLICATES_FILE = "replicates.parquet"
SAME = {"arms", "steps", "checkpoints", "limit", "samples_per_model"}  # else not comparable

Place = tuple[str, int]  # a replicate's world, by name, and its seed


def read_earlier(plan: ComparisonManifest, folders: Sequence[str], last: int) -> pa.Table:
    """The rows of whole replicates in other comparisons' folders, as this plan's own.

    Args:
        folders: each holds plan.yaml and replicates.parquet, as `qibox compare` left them.
        last: the step after which trainings end; a replicate is whole once all arms have it.

    Raises:
        UsageError: no such folder, another plan, or one replicate twice.
    """
    tables = [REPLICATES.empty_table()]
    seen: dict[Place, str] = {}
    for folder in folders:
        table = _rows(plan, folder)
        places = _whole(plan, table, last)
        for place in sorted(places):
            if place in seen:
                raise UsageError(
                    f"the replicate of seed {place[1]} in world {place[0]} is both in "
                    f"{seen[place]} and in {folder}: give one of them",
                    fields=["earlier"],
                )
            seen[place] = folder
        kept = [place in places for place in places_of(table)]
        tables.append(table.filter(pa.array(kept, pa.bool_())))
    return pa.concat_tables(tables)


def missing(replicates: Sequence[Replicate], earlier: pa.Table) -> list[Replicate]:
    """The replicates that are not among the earlier ones."""
    there = set(places_of(earlier))
    return [each for each in replicates if (world_name(each), each.seed) not in there]


def _rows(plan: ComparisonManifest, folder: str) -> pa.Table:
    """A folder's replicates in the plan's arms, under the plan's name."""
    if not Path(folder, PLAN).is_file() or not Path(folder, REPLICATES_FILE).is_file():
        raise UsageError(
            f"{folder} holds no {PLAN} and {REPLICATES_FILE}: give the folder of a comparison, "
            "such as RUN/comparisons/NAME",
            fields=["earlier"],
        )
    storage = Storage(folder)
    there, now = storage.read_mapping(PLAN), plan.model_dump(mode="json")
    other = [name for name in changed(there, now, type(plan)) if name.partition(".")[0] in SAME]
    if other:
        raise UsageError(
            f"{folder} is of another {', '.join(other)}: its replicates cannot be counted here",
            fields=["earlier"],
        )
    table = storage.read_table(REPLICATES_FILE)
    if not table.schema.equals(REPLICATES):
        raise UsageError(
            f"{folder}/{REPLICATES_FILE} has other columns than `qibox compare` writes",
            fields=["earlier"],
        )
    name = pa.repeat(plan.name, len(table))
    return table.set_column(0, REPLICATES.field("comparison"), name)


def _whole(plan: ComparisonManifest, table: pa.Table, last: int) -> set[Place]:
    """Replicates of which every arm has the primary measure after the last step.

    By the judge that decides here: ratings of another answer another question.
    """
    rated = pc.field("judge").is_valid() & pc.field("value").is_valid()
    primary = (pc.field("measure") == plan.measure) & (pc.field("among") == plan.among)
    found = table.filter(primary & rated & (pc.field("step") == last))
    there = found["judge"].unique().to_pylist()
    deciding = judge_names(plan.judges)[:1] or ([first_judge(plan, there)] if there else [])
    found = found.filter(pc.field("judge").isin(deciding))
    arms: dict[Place, set[str]] = {}
    for place, arm in zip(places_of(found), found["arm"].to_pylist(), strict=True):
        arms.setdefault(place, set()).add(arm)
    wanted = {arm.name for arm in plan.arms}
    return {place for place, trained in arms.items() if wanted <= trained}


def places_of(table: pa.Table) -> list[Place]:
    """Each row's replicate."""
    return list(zip(table["world"].to_pylist(), table["seed"].to_pylist(), strict=True))
