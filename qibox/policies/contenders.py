"""Whom an evaluation asks: policies of a run, the ones they started from, policies from elsewhere.

All of them are drawn under the same noise, so that what differs between two is not their luck.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa

from qibox.engines.sources import fingerprint, local_directory, shown_place
from qibox.errors import UsageError, command
from qibox.fields import identity
from qibox.manifests.common import as_name
from qibox.manifests.panel import ModelSpec
from qibox.policies.directory import (
    Lineage,
    model_directory,
    read_lineage,
    start_source,
    trained_on,
)
from qibox.policies.pins import pinned_commit
from qibox.policies.running import (
    LEFT_OPEN,
    START,
    Running,
    named_policies,
    refuse_unused,
)
from qibox.run.directory import Run
from qibox.run.finished import policy_names
from qibox.run.kept_files import check_files
from qibox.run.layout import policy_path
from qibox.run.retrained import lineage_digest
from qibox.run.units import digest

ASKED = ("system", "prompt", "template_arguments", "reasoning")  # of a recipe, and of a model


@dataclass(frozen=True)
class Contender:
    """One policy to ask."""

    name: str  # its id among the answers
    spec: ModelSpec  # resolved; holds no path of this machine
    place: str  # where its weights are: what an engine loads
    start: str | None = None  # the contender it started from
    lineage: str | None = None  # sha256 of what a policy of the run was made of
    known: pa.Table | None = None  # question and images of what it was trained on, where known
    commit: Literal["found", "kept"] | None = None  # of the hub, none named: now, or by the run


@contextmanager
def contenders_of(
    run: Run,
    policies: Sequence[str],
    start: str | None = None,
    running: Running = LEFT_OPEN,
) -> Iterator[list[Contender]]:
    """Find policies and, for those of the run, the ones they started from; starts come first.

    A policy is the name of one in the run; a source (hub id, directory, builtin:<name>), which
    stands alone; or the path of a panel's manifest, see :mod:`qibox.policies.running`. Equal starts
    are one contender; of two directories of one name, the second one's is longer. ``start`` is
    where a start policy is that was a directory.

    Raises:
        UsageError: no such policy, or its start policy cannot be found.
        DamagedFileError: weights of a policy of the run are not what was trained.
    """
    starts: dict[str, Contender] = {}
    found: dict[str, Contender] = {}
    names, running = named_policies(policies, running)
    lineages = {policy: read_lineage(run.storage, policy) for policy in names}
    with ExitStack() as stack:
        for policy, lineage in sorted(lineages.items(), key=lambda item: item[1] is None):
            after = stack.enter_context(_contender(run, policy, lineage, running))
            if lineage is None:
                after = _apart(after, found)
            else:
                before = _as_trained(_start_of(run, lineage, start, running), lineage)
                before = _apart(before, starts)
                starts.setdefault(before.name, before)
                after = replace(after, start=before.name)
            found[after.name] = after
        refuse_unused(running, [*starts, *found])
        yield [*starts.values(), *found.values()]


@contextmanager
def contender_of(run: Run, policy: str, running: Running = LEFT_OPEN) -> Iterator[Contender]:
    """Find one policy: by its name in the run, its source, or a manifest that has no other.

    Raises:
        UsageError: no such policy, or a manifest of several.
    """
    names, running = named_policies([policy], running)
    if len(names) != 1:
        raise UsageError(f"{policy} has {len(names)} policies ({', '.join(names)}): leave one")
    lineage = read_lineage(run.storage, names[0])
    with _contender(run, names[0], lineage, running) as contender:
        yield contender


def starts_of(contenders: Sequence[Contender]) -> Mapping[str, str]:
    """Which contender each one started from, by name."""
    return {each.name: each.start for each in contenders if each.start is not None}


@contextmanager
def _contender(
    run: Run, policy: str, lineage: Lineage | None, running: Running
) -> Iterator[Contender]:
    if lineage is not None:
        if running.replay is None:
            check_files(run.storage, policy_path(policy), lineage.get("files", ()), "model/")
        with model_directory(run.storage, policy) as folder:
            known = trained_on(run.storage, lineage)
            made_of = lineage_digest(run.storage, policy)
            own = _as_trained(_of_run(policy, folder, running), lineage)
            yield replace(own, known=known, lineage=made_of)
        return
    if not policy.strip():
        raise UsageError(
            "a policy's name is empty: give the name of a policy, a directory or a hub id",
            fields=["policy"],
        )
    if policy in running.models:
        given = running.models[policy]
        yield _elsewhere(run, policy, given.source, given.revision, running)
        return
    if not _is_source(policy) and not running.is_served(policy):
        there = ", ".join(policy_names(run.storage)) or "none yet"
        raise UsageError(
            f"no policy named '{policy}' in run {run.storage.url} (there: {there}): "
            f"{command('train', run.storage.url, name=policy)} makes one"
        )
    name = as_name(policy if running.is_served(policy) else shown_place(policy))
    if name.startswith(START):  # it would be taken for a policy before training
        name = f"from-{name}"
    yield _elsewhere(run, name, policy, None, running)


def _of_run(policy: str, folder: Path, running: Running) -> Contender:
    """A policy of the run; behind a server too it is known by its weights here."""
    if running.is_served(policy):
        spec = running.served(policy, policy, fingerprint(folder))
        return Contender(policy, spec, spec.source)
    spec = running.local(policy, str(folder), None)
    return _kept(policy, spec, str(folder), f"policy:{policy}")


def _as_trained(contender: Contender, lineage: Lineage) -> Contender:
    """A policy that is asked and read as its recipe says, where its own manifest says nothing."""
    recipe = lineage["plan"].get("recipe", {})
    said = {name: recipe[name] for name in ASKED if recipe.get(name)}
    if recipe.get("system") == "":
        said["system"] = ""
    spec = contender.spec.model_dump()
    own = {name: value for name, value in said.items() if not spec[name]}
    return replace(contender, spec=ModelSpec.model_validate({**spec, **own})) if own else contender


def _start_of(run: Run, lineage: Lineage, given: str | None, running: Running) -> Contender:
    """The policy that one of the run was trained from."""
    source = lineage["plan"]["policy"]
    name = START + as_name(source.removeprefix("builtin:"))
    if running.is_served(name):
        spec = running.served(name, source, lineage["plan"]["policy_revision"])
        return Contender(name, spec, spec.source)
    place, revision = start_source(lineage, given)
    name = START + as_name(shown_place(place).removeprefix("builtin:"))
    return _elsewhere(run, name, place, revision, running)


def _elsewhere(
    run: Run, name: str, source: str, revision: str | None, running: Running
) -> Contender:
    """A policy by its source: a directory, a shipped model, a hub id, or a server's name for it."""
    if running.is_served(name):
        spec = running.served(name, source, revision)
        return Contender(name, spec, spec.source)
    if revision is not None or running.replay is not None or local_directory(source) is not None:
        return _kept(name, running.local(name, source, revision), source, shown_place(source))
    kept = pinned_commit(run.storage, source)
    found = _kept(name, running.local(name, source, kept), source, source)
    return replace(found, commit="found" if kept is None else "kept")


def _kept(name: str, spec: ModelSpec, place: str, shown: str) -> Contender:
    """A contender whose spec, which the run keeps, holds no path of this machine."""
    if spec.engine == "replay":
        place, shown = spec.source, Path(spec.source).name
    return Contender(name, spec.model_copy(update={"source": shown}), place)


def _apart(contender: Contender, others: Mapping[str, Contender]) -> Contender:
    """The contender, by a longer name where another one of its name has other weights."""
    same = others.get(contender.name)
    if same is None or same.spec == contender.spec:
        return contender
    weights = contender.spec.revision or digest(identity(contender.spec))
    return replace(contender, name=f"{contender.name}-{weights.removeprefix('sha256:')[:8]}")


def _is_source(policy: str) -> bool:
    return ":" in policy or "/" in policy or Path(policy).is_dir()
