"""The finished selections and policies of a run, by the names of their files.

What the files hold is read in :mod:`qibox.selection.read` and :mod:`qibox.policies.directory`. The
lineage of either is written last: without it the selection or policy is not there.
"""

import re

from qibox.errors import UsageError
from qibox.run.layout import selection_path
from qibox.run.storage import Storage

LINEAGE = "selection.yaml"
POLICY_FILE = "policy.yaml"
_SHARD = re.compile(r"data/train-\d{5}-of-(?P<count>\d{5})\.parquet")


def finished_selections(storage: Storage) -> dict[str, list[str]]:
    """The shards of each finished selection, in order, by its name; one listing for all.

    A shard that should be there is among them though it is gone, so that reading it fails; other
    files beside them are somebody's own.
    """
    parts = [file.split("/") for file in storage.files("selections")]
    finished = {name: set[str]() for _, name, *rest in parts if rest == [LINEAGE]}
    for _, name, *rest in parts:
        shard = _SHARD.fullmatch("/".join(rest))
        if name in finished and shard is not None:
            count = shard["count"]
            shards = (f"data/train-{number:05d}-of-{count}.parquet" for number in range(int(count)))
            finished[name].update(selection_path(name, each) for each in shards)
    return {name: sorted(shards) for name, shards in finished.items()}


def selection_names(storage: Storage) -> list[str]:
    """Names of the run's finished selections, sorted."""
    return list(finished_selections(storage))


def selection_files(storage: Storage, name: str) -> list[str]:
    """Names of a finished selection's shards, in order.

    Raises:
        UsageError: there is no such selection, or none that is whole; the message names those that
            are there, and the command that makes one.
    """
    finished = finished_selections(storage)
    if name not in finished:
        there = f"it has {', '.join(finished)}" if finished else "it has none yet"
        raise UsageError(
            f"no selection named '{name}' in run {storage.url} ({there}): "
            f"`qibox select {storage.url}` makes one"
        )
    return finished[name]


def policy_names(storage: Storage) -> list[str]:
    """Names of the policies that were trained to their end, sorted."""
    files = [file.split("/") for file in storage.files("policies")]
    return sorted(parts[1] for parts in files if len(parts) == 3 and parts[2] == POLICY_FILE)
