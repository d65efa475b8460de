"""May a run take this manifest? Its own compared with a new one, key by key, stage by stage.

Knows which stage each key touches, so that a person can agree to redo that one and later ones only.
What an earlier version wrote otherwise (under another FORMAT, or with more in its keys) is a change
of that kind too: nobody's finished work is redone unasked.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from qibox.errors import UsageError
from qibox.fields import Leaf, Role, differing, leaves
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.panel import ModelSpec
from qibox.manifests.pool import PoolManifest
from qibox.run.directory import RunManifest
from qibox.run.units import FORMAT

RescoreStage = Literal["pool", "responses", "judgments", "scores"]
RESCORE_STAGES: tuple[RescoreStage, ...] = get_args(RescoreStage)
KEEPS = {
    "pool": "every shard that stays the same keeps its responses, judgments and scores",
    "responses": "models that stay the same keep their responses and judgments",
    "judgments": "all responses are kept",
    "scores": "all responses and judgments are kept",
}
# Settings that were part of keys while a run's manifest did not yet tell its formats.
ONCE_DECIDING = re.compile(
    r".*\.settings\.(tensor_parallel_size|data_parallel_size|max_num_seqs|enable_prefix_caching|"
    r"enforce_eager|device_map)(\..*)?"
)
WHOLE = re.compile(r"panel\.models\.[^.]+|judges\.[^.]+")
ABSENT = "absent"


@dataclass(frozen=True)
class Difference:
    """A key of the run's manifest that the new one has otherwise, and the first stage it touches.

    ``stage`` is None where no file depends on it.
    """

    key: str
    old: object
    new: object
    stage: RescoreStage | None
    of_version: bool = False  # not the manifest's values: how an earlier version wrote its files

    def __str__(self) -> str:
        return f"{self.key} was {_shown(self.old)} and is now {_shown(self.new)}"


def compare(old: RunManifest, new: RunManifest) -> list[Difference]:
    """The keys in which two manifests differ; versions and prose are left out."""
    before, after = _leaves(old), _leaves(new)
    same_content = [
        *_places_of_same_content(before, after),
        *_places_of_same_pool(old.pool, new.pool, "pool"),
    ]
    for key in same_content:
        if key in before and key in after:
            after[key] = before[key]
    _fold(before, after)
    _fold(after, before)
    changed = [
        Difference(
            key,
            _value(before.get(key)),
            _value(after.get(key)),
            _stage(key, before.get(key) or after[key]),
        )
        for key in differing(before, after)
    ]
    return [*changed, *_of_version(old)]


def moved(old: RunManifest, new: RunManifest) -> bool:
    """Whether a new manifest says anything otherwise, be it where the same content lies."""
    return bool(differing(_leaves(old), _leaves(new)))


def taken(old: RunManifest, new: RunManifest) -> RunManifest:
    """A new manifest as a run takes it: whose content is the same stays under the name it has.

    That name is part of keys, and where the content lies now is told apart from it
    (:func:`qibox.scoring.resolve.places_of`).
    """
    models = {n: _named_as(old.panel.models.get(n), m) for n, m in new.panel.models.items()}
    before = {judge.name: judge for judge in old.judges}
    return new.model_copy(
        update={
            "panel": new.panel.model_copy(update={"models": models}),
            "judges": tuple(_judge_named_as(before.get(j.name), j) for j in new.judges),
        }
    )


def with_added_judges(
    old: RunManifest, new: RunManifest, rescore: RescoreStage | None
) -> RunManifest:
    """A new manifest with the judges that were added to a run after those that it names.

    To judge anew (``rescore``) leaves them out.
    """
    names = [judge.name for judge in new.judges]
    begins = names == [judge.name for judge in old.judges[: len(names)]]
    if not begins or rescore in ("pool", "judgments"):
        return new
    return new.model_copy(update={"judges": (*new.judges, *old.judges[len(names) :])})


def _named_as(old: ModelSpec | None, new: ModelSpec) -> ModelSpec:
    same = old is not None and _same_content(old.revision, new.revision)
    return new.model_copy(update={"source": old.source}) if old is not None and same else new


def _judge_named_as(old: JudgeManifest | None, new: JudgeManifest) -> JudgeManifest:
    if old is None:
        return new
    path = old.path if _same_content(old.revision, new.revision) else new.path
    model = None if new.model is None else _named_as(old.model, new.model)
    return new.model_copy(update={"path": path, "model": model})


def _same_content(old: str | None, new: str | None) -> bool:
    return old is not None and old.startswith("sha256:") and old == new


def _of_version(old: RunManifest) -> Iterator[Difference]:
    """What an earlier version wrote otherwise; a run of before formats were told has 1 of each."""
    for stage in RESCORE_STAGES:
        was = old.format.get(stage, 1)
        if was != FORMAT[stage]:
            yield Difference(f"the format of its {stage}", was, FORMAT[stage], stage, True)
    was = old.format.get("asked", 1)
    if was != FORMAT["asked"]:
        for judge in (judge for judge in old.judges if judge.asks):
            key = f"how judge '{judge.name}' is asked"
            yield Difference(key, was, FORMAT["asked"], "judgments", True)
    if not old.format:
        for key, leaf in _leaves(old).items():
            if ONCE_DECIDING.fullmatch(key):
                touched = _stage(key, leaf._replace(role=Role.DECIDING))
                yield Difference(key, "part of its files' keys", "part of none", touched, True)


def check_consent(
    differences: Sequence[Difference], rescore: RescoreStage | None, where: str
) -> None:
    """Refuse a changed manifest unless the caller agreed to redo the stages it touches.

    Raises:
        UsageError: names the keys that differ and the two ways out.
    """
    touching = [d for d in differences if d.stage is not None]
    stages = {d.stage for d in touching}
    if not stages:
        return
    first = next(stage for stage in RESCORE_STAGES if stage in stages)
    if rescore is not None and RESCORE_STAGES.index(rescore) <= RESCORE_STAGES.index(first):
        return
    of_version = [d for d in touching if d.of_version]
    listed = [str(d) for d in of_version or touching]
    more = f"; and {len(listed) - 8} more" if len(listed) > 8 else ""
    if of_version:
        raise UsageError(
            f"{where} was made by another version of qibox: {'; '.join(listed[:8])}{more}. Score "
            "into another directory, or let the files that this touches be set aside under "
            f"outdated/ and made anew, from stage {first} on",
            fields=["out", f"rescore={first}"],
        )
    raise UsageError(
        f"{where} has another manifest: {'; '.join(listed[:8])}{more}. Score into "
        f"another directory, or take the new values into this run from stage {first} on: "
        f"{KEEPS[first]}",
        fields=["out", f"rescore={first}"],
    )


def _leaves(manifest: RunManifest) -> dict[str, Leaf]:
    return leaves(manifest.model_dump(mode="json"), RunManifest)


def _places_of_same_content(before: dict[str, Leaf], after: dict[str, Leaf]) -> Iterator[str]:
    """Keys of the places whose content is the same by its hash, wherever it lies."""
    for key, leaf in before.items():
        head, _, name = key.rpartition(".")
        is_hash = isinstance(leaf.value, str) and leaf.value.startswith("sha256:")
        if name == "revision" and is_hash and after.get(key) == leaf:
            both = before.keys() & after.keys()
            yield from both & {f"{head}.source", f"{head}.path"}


def _places_of_same_pool(old: PoolManifest, new: PoolManifest, key: str) -> Iterator[str]:
    """Keys of a pool's places, and of its parts', where the same lies there."""
    if old.fingerprint is not None and old.fingerprint == new.fingerprint:
        yield from (f"{key}.path", f"{key}.images")
    for before, after in zip(old.parts, new.parts, strict=False):
        if not (isinstance(before, str) or isinstance(after, str)):
            yield from _places_of_same_pool(before, after, f"{key}.parts.{after.name}")


def changed_content(old: PoolManifest, new: PoolManifest) -> Iterator[str]:
    """The paths of a pool, and of its parts, at which something else lies than did then."""
    if None not in (old.fingerprint, new.fingerprint) and old.fingerprint != new.fingerprint:
        yield str(new.path)
    for before, after in zip(old.parts, new.parts, strict=False):
        if not (isinstance(before, str) or isinstance(after, str)):
            yield from changed_content(before, after)


def _fold(own: dict[str, Leaf], other: dict[str, Leaf]) -> None:
    """Let one key stand for all those of a model or judge that only one side has."""
    for whole in {m.group() for key in own if (m := WHOLE.match(key))}:
        if not any(key.startswith(f"{whole}.") for key in other):
            for key in [key for key in own if key.startswith(f"{whole}.")]:
                del own[key]
            own[whole] = Leaf("there", Role.DECIDING)


def _stage(key: str, leaf: Leaf) -> RescoreStage | None:
    """The first stage that depends on a key."""
    if leaf.role is not Role.DECIDING:
        return None
    parts = key.split(".")
    if parts[0] in ("pool", "limit"):
        return "pool"
    if parts[0] == "judges":
        return "judgments"
    of_scores = parts == ["scored"] or parts[1] in ("min_models", "min_responses")
    return "scores" if of_scores else "responses"


def _value(leaf: Leaf | None) -> object:
    return ABSENT if leaf is None else leaf.value


def _shown(value: object) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
