"""Whom an evaluation compares: a run's policy with the one it started from, or one alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from qibox.engines.load import resolve_model
from qibox.errors import UsageError
from qibox.manifests.panel import ModelSpec
from qibox.policies.directory import (
    as_name,
    model_directory,
    policy_names,
    read_lineage,
    start_source,
    trained_on,
)
from qibox.run.directory import Run

Stage = Literal["start", "trained"]


@dataclass(frozen=True)
class Contender:
    """One policy to evaluate, at one stage."""

    stage: Stage
    spec: ModelSpec  # resolved


@contextmanager
def contenders_of(
    run: Run, policy: str, start: str | None = None
) -> Iterator[tuple[str, list[Contender], pa.Table | None]]:
    """Find a policy: its name, whom to evaluate, and what it was trained on where that is known.

    ``policy`` is the name of one in the run, which is compared with its start; or a source (hub id,
    directory, builtin:<name>), which stands alone.

    Raises:
        UsageError: no such policy, or its start policy cannot be found.
    """
    lineage = read_lineage(run.storage, policy)
    if lineage is None:
        if not _is_source(policy):
            there = ", ".join(policy_names(run.storage)) or "none yet"
            raise UsageError(
                f"no policy named '{policy}' in run {run.storage.url} (there: {there}): "
                f"`qibox train {run.storage.url} --name {policy}` makes one"
            )
        yield as_name(policy), [contender("trained", policy)], None
        return
    with model_directory(run.storage, policy) as folder:
        before = contender("start", *start_source(lineage, start))
        after = contender("trained", str(folder))
        yield policy, [before, after], trained_on(run.storage, lineage)


def _is_source(policy: str) -> bool:
    return ":" in policy or "/" in policy or Path(policy).is_dir()


def contender(stage: Stage, source: str, revision: str | None = None) -> Contender:
    """Resolve a policy by its source: hub id, directory or builtin:<name>."""
    # In this process: one policy is loaded, used and dropped, so a process of its own buys nothing.
    spec = ModelSpec(source=source, revision=revision, settings={"isolate": False})
    return Contender(stage=stage, spec=resolve_model(spec))
