"""May a run take this manifest? Its own compared with a new one, key by key, stage by stage.

Knows which stage each key touches, so that a person can agree to redo that one and later ones only.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from qibox.errors import UsageError
from qibox.run.directory import RunManifest
from qibox.run.units import OPERATIONS, PLACEMENT

RescoreStage = Literal["pool", "responses", "judgments", "scores"]
RESCORE_STAGES: tuple[RescoreStage, ...] = get_args(RescoreStage)
KEEPS = {
    "pool": "every shard that stays the same keeps its responses, judgments and scores",
    "responses": "models that stay the same keep their responses and judgments",
    "judgments": "all responses are kept",
    "scores": "all responses and judgments are kept",
}
PROSE = {"name", "about", "source", "sources", "unverified"}  # of manifests: say, decide nothing
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

    def __str__(self) -> str:
        return f"{self.key} was {_shown(self.old)} and is now {_shown(self.new)}"


def compare(old: RunManifest, new: RunManifest) -> list[Difference]:
    """The keys in which two manifests differ; versions and prose are left out."""
    before, after = dict(_flat(old)), dict(_flat(new))
    for key in _places_of_same_content(before, after):
        after[key] = before[key]
    _fold(before, after)
    _fold(after, before)
    return [
        Difference(key, before.get(key, ABSENT), after.get(key, ABSENT), _stage(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key, ABSENT) != after.get(key, ABSENT)
    ]


def check_consent(
    differences: Sequence[Difference], rescore: RescoreStage | None, where: str
) -> None:
    """Refuse a changed manifest unless the caller agreed to redo the stages it touches.

    Raises:
        UsageError: names the keys that differ and the two ways out.
    """
    stages = {d.stage for d in differences if d.stage is not None}
    if not stages:
        return
    first = next(stage for stage in RESCORE_STAGES if stage in stages)
    if rescore is not None and RESCORE_STAGES.index(rescore) <= RESCORE_STAGES.index(first):
        return
    listed = [str(d) for d in differences if d.stage is not None]
    more = f"; and {len(listed) - 8} more" if len(listed) > 8 else ""
    raise UsageError(
        f"{where} has another manifest: {'; '.join(listed[:8])}{more}. Score into "
        f"another --out, or take the new values into this run with --rescore {first} "
        f"({KEEPS[first]})"
    )


def _flat(manifest: RunManifest) -> Iterator[tuple[str, object]]:
    content = manifest.model_dump(mode="json", exclude={"versions"})
    content["judges"] = {judge["name"]: judge for judge in content["judges"]}
    if len(content["judges"]) > 1:
        yield "judges", list(content["judges"])  # the first one's scores count
    yield from _leaves(content, "")


def _leaves(content: dict[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
    in_judge = prefix.startswith("judges.") and prefix.count(".") == 2
    at_head = in_judge or prefix in ("pool.", "panel.")
    for name, value in content.items():
        if at_head and name in PROSE:
            continue
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _places_of_same_content(before: dict[str, object], after: dict[str, object]) -> Iterator[str]:
    """Keys of the places whose content is the same by its hash, wherever it lies."""
    for key, value in before.items():
        head, _, name = key.rpartition(".")
        is_hash = isinstance(value, str) and value.startswith("sha256:")
        if name == "revision" and is_hash and after.get(key) == value:
            both = before.keys() & after.keys()
            yield from both & {f"{head}.source", f"{head}.path"}


def _fold(own: dict[str, object], other: dict[str, object]) -> None:
    """Let one key stand for all those of a model or judge that only one side has."""
    for whole in {m.group() for key in own if (m := WHOLE.match(key))}:
        if not any(key.startswith(f"{whole}.") for key in other):
            for key in [key for key in own if key.startswith(f"{whole}.")]:
                del own[key]
            own[whole] = "there"


def _stage(key: str) -> RescoreStage | None:
    parts = key.split(".")
    if parts[0] in ("pool", "limit"):
        return "pool"
    is_operation = parts[-2:-1] == ["settings"] and parts[-1] in OPERATIONS
    if is_operation or {*parts[3:]} & PLACEMENT:
        return None
    if parts[0] == "judges":
        return "judgments"
    return "scores" if parts[1] in ("min_models", "min_responses") else "responses"


def _shown(value: object) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
