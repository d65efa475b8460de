"""Whom an evaluation asks: policies of a run, the ones they started from, policies from elsewhere.

All of them are drawn under the same noise, so that what differs between two is not their luck.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from qibox.engines.load import resolve_model
from qibox.engines.sources import local_directory
from qibox.errors import UsageError
from qibox.manifests.panel import EngineName, ModelSpec
from qibox.policies.directory import (
    as_name,
    model_directory,
    read_lineage,
    start_source,
    trained_on,
)
from qibox.run.directory import Run
from qibox.run.finished import policy_names

NOISE_ID = "policy"  # keys the sampling noise of every contender
START = "start-"  # how the names of policies before training begin


@dataclass(frozen=True)
class Contender:
    """One policy to ask."""

    name: str  # its id among the answers
    spec: ModelSpec  # resolved; holds no path of this machine
    place: str  # where its weights are: what an engine loads
    start: str | None = None  # the contender it started from
    known: pa.Table | None = None  # question and images of what it was trained on, where known


@dataclass(frozen=True)
class Running:
    """How contenders are run, where that is not left open."""

    engine: EngineName = "auto"
    replay: str | None = None  # play recorded responses, looked up by the contenders' names


@contextmanager
def contenders_of(
    run: Run,
    policies: Sequence[str],
    start: str | None = None,
    running: Running = Running(),
) -> Iterator[list[Contender]]:
    """Find policies and, for those of the run, the ones they started from; starts come first.

    A policy is the name of one in the run, or a source (hub id, directory, builtin:<name>), which
    stands alone. Equal starts are one contender; of two directories of one name, the second one's
    is longer. ``start`` is where a start policy is that was a directory.

    Raises:
        UsageError: no such policy, or its start policy cannot be found.
    """
    starts: dict[str, Contender] = {}
    found: dict[str, Contender] = {}
    lineages = {policy: read_lineage(run.storage, policy) for policy in policies}
    with ExitStack() as stack:
        for policy, lineage in sorted(lineages.items(), key=lambda item: item[1] is None):
            after = stack.enter_context(contender_of(run, policy, running))
            if lineage is None:
                after = _apart(after, found)
            else:
                source, revision = start_source(lineage, start)
                before = _apart(_elsewhere(source, revision, running, START), starts)
                starts.setdefault(before.name, before)
                after = replace(after, start=before.name)
            found[after.name] = after
        yield [*starts.values(), *found.values()]


@contextmanager
def contender_of(run: Run, policy: str, running: Running = Running()) -> Iterator[Contender]:
    """Find one policy: of the run by its name, or from elsewhere by its source.

    Raises:
        UsageError: no such policy.
    """
    if not policy.strip():
        raise UsageError("--policy is empty: give the name of a policy, a directory or a hub id")
    lineage = read_lineage(run.storage, policy)
    if lineage is None:
        if not _is_source(policy):
            there = ", ".join(policy_names(run.storage)) or "none yet"
            raise UsageError(
                f"no policy named '{policy}' in run {run.storage.url} (there: {there}): "
                f"`qibox train {run.storage.url} --name {policy}` makes one"
            )
        yield _elsewhere(policy, None, running)
        return
    with model_directory(run.storage, policy) as folder:
        known = trained_on(run.storage, lineage)
        yield _contender(policy, f"policy:{policy}", str(folder), None, running, known)


def starts_of(contenders: Sequence[Contender]) -> Mapping[str, str]:
    """Which contender each one started from, by name."""
    return {each.name: each.start for each in contenders if each.start is not None}


def _elsewhere(source: str, revision: str | None, running: Running, prefix: str = "") -> Contender:
    """A policy by its source; a directory is named by its last part, wherever it lies."""
    directory = local_directory(source)
    is_path = directory is not None and not source.startswith("builtin:")
    shown = directory.resolve().name if is_path and directory is not None else source
    name = prefix + as_name(shown.removeprefix("builtin:") if prefix else shown)
    if not prefix and name.startswith(START):  # it would be taken for a policy before training
        name = f"from-{name}"
    return _contender(name, shown, source, revision, running, None)


def _contender(
    name: str,
    source: str,
    place: str,
    revision: str | None,
    running: Running,
    known: pa.Table | None,
) -> Contender:
    if running.replay is not None:
        spec = ModelSpec(source=running.replay, engine="replay", noise_id=NOISE_ID)
        spec = resolve_model(spec).model_copy(update={"source": Path(running.replay).name})
        return Contender(name, spec, running.replay, known=known)
    spec = ModelSpec(source=place, revision=revision, engine=running.engine, noise_id=NOISE_ID)
    spec = resolve_model(spec).model_copy(update={"source": source})
    return Contender(name, spec, place, known=known)


def _apart(contender: Contender, others: Mapping[str, Contender]) -> Contender:
    """The contender, by a longer name where another one of its name has other weights."""
    same = others.get(contender.name)
    if same is None or same.spec == contender.spec:
        return contender
    revision = str(contender.spec.revision).removeprefix("sha256:")
    return replace(contender, name=f"{contender.name}-{revision[:8]}")


def _is_source(policy: str) -> bool:
    return ":" in policy or "/" in policy or Path(policy).is_dir()
