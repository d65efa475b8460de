"""How policies are run: on which engine and under which settings, or as a panel's manifest says.

In a manifest, a model's id is the policy's name. If the run has a policy of that name, or it is the
one that such a policy started from, then the manifest says how that one is run; any other model
stands alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from qibox.engines.load import resolve_model
from qibox.engines.sources import fingerprint, local_directory
from qibox.errors import UsageError
from qibox.manifests.load import load_manifest
from qibox.manifests.panel import EngineName, ModelSpec, PanelManifest

NOISE_ID = "policy"  # keys the sampling noise of every policy
START = "start-"  # how the names of policies before training begin


@dataclass(frozen=True)
class Running:
    """How policies are run, where that is not left open."""

    engine: EngineName = "auto"
    settings: Mapping[str, Any] = field(default_factory=dict)  # the engine's own
    replay: str | None = None  # play recorded responses, looked up by the policies' names
    models: Mapping[str, ModelSpec] = field(default_factory=dict)  # those of manifests, by name

    def is_served(self, name: str) -> bool:
        """Whether a server answers for a policy, so that its weights need not be here."""
        given = self._given(name)
        return self.replay is None and (given.engine == "openai" or given.at is not None)

    def served(self, name: str, source: str, revision: str | None) -> ModelSpec:
        """A policy behind a server, under the name that a manifest gives or else its source's.

        ``revision`` is that of the weights that the server is said to have: who serves others
        under the same name later is asked anew.

        Raises:
            UsageError: a setting that does not hold, such as no address.
        """
        given = self._given(name)
        return _resolved(name, given, given.source or source, given.revision or revision)

    def local(self, name: str, place: str, revision: str | None) -> ModelSpec:
        """A policy whose weights are at a place that an engine loads from: a directory, a hub id.

        Raises:
            UsageError: no such weights or recordings, a setting that does not hold, or a manifest
                that names other weights.
        """
        if self.replay is not None:
            return _resolved(name, ModelSpec(source="", engine="replay"), self.replay, None)
        given = self._given(name)
        if given.source not in ("", name, place):
            _refuse_other_weights(name, given.source, place)
        return _resolved(name, given, place, revision or given.revision)

    def _given(self, name: str) -> ModelSpec:
        """What was said of a policy; its source is empty where no manifest names it."""
        said = ModelSpec(source="", engine=self.engine, settings=dict(self.settings))
        return self.models.get(name, said)


LEFT_OPEN = Running()


def named_policies(policies: Sequence[str], running: Running) -> tuple[list[str], Running]:
    """Read those of the policies that are manifests: all names, and how each of them is run.

    Models whose ids begin as those of policies before training say how those are run, and are not
    among the names.

    Raises:
        UsageError: a manifest that is not there or does not hold, two that name one policy, or
            settings for recorded answers.
    """
    if running.replay is not None and running.settings:
        raise UsageError(
            f"recorded answers are played, and '{next(iter(running.settings))}' is a setting of an "
            "engine: leave one out",
            fields=["replay", "settings"],
        )
    names: list[str] = []
    models: dict[str, ModelSpec] = {}
    for policy in policies:
        if not policy.endswith((".yaml", ".yml")):
            names.append(policy)
            continue
        own = load_manifest(PanelManifest, policy).models
        if twice := models.keys() & own.keys():
            raise UsageError(f"two manifests have a policy '{min(twice)}': leave one out")
        models.update(own)
        names += [name for name in own if not name.startswith(START)]
    if models and not names:
        raise UsageError(
            f"{', '.join(policies)} has only policies before training ({', '.join(models)}): name "
            "one that started from them as well"
        )
    return list(dict.fromkeys(names)), replace(running, models=models)


def refuse_unused(running: Running, asked: Collection[str]) -> None:
    """Refuse a manifest's policy before training that nobody who is asked started from.

    Raises:
        UsageError: names it, and those there are.
    """
    for name in running.models:
        if name.startswith(START) and name not in asked:
            there = [each for each in asked if each.startswith(START)]
            raise UsageError(
                f"no policy that is asked started from '{name}' (there: "
                f"{', '.join(there) or 'none'}): leave it out of the manifest, or name it otherwise"
            )


def _resolved(name: str, given: ModelSpec, source: str, revision: str | None) -> ModelSpec:
    found = {"source": source, "revision": revision, "noise_id": NOISE_ID}
    return resolve_model(given.model_copy(update=found), name)


def _refuse_other_weights(name: str, source: str, place: str) -> None:
    theirs, ours = local_directory(source), local_directory(place)
    same = theirs is not None and ours is not None and fingerprint(theirs) == fingerprint(ours)
    if not same:
        raise UsageError(
            f"the run has a policy '{name}', and {source} does not hold its weights: give the "
            f"manifest's model another name, or the source '{name}'"
        )
