"""Which rephraser and which judge are meant, with all that decides what comes of them."""

import re
from dataclasses import dataclass
from typing import Any, get_args

from qibox.engines.load import resolve_model
from qibox.engines.sources import shown_place
from qibox.errors import UsageError
from qibox.fields import identity
from qibox.judges.chosen import chosen_judges
from qibox.judges.load import resolve_judge
from qibox.judges.placing import placed
from qibox.manifests.common import LONGEST_NAME, as_name
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.load import list_manifests, load_manifest
from qibox.manifests.panel import EngineName, ModelSpec
from qibox.manifests.rephraser import RephraserManifest
from qibox.run.directory import Run
from qibox.run.units import digest

FORMAT = 1  # raised when wordings come to be asked for or judged otherwise
_SERVED = re.compile(r"(?P<model>.+)@(?P<url>https?://.+)")  # of openai/MODEL@URL


@dataclass(frozen=True)
class Asking:
    """Where models are asked, and whose code may run; none of it changes what comes out."""

    judge_at: tuple[str, ...] = ()
    remote_code: bool = False


USUAL = Asking()


@dataclass(frozen=True)
class Settled:
    """Who is asked."""

    rephraser: RephraserManifest
    judge: JudgeManifest
    key: str  # of all that decides a wording and its ruling
    about: dict[str, Any]  # for the lineage; holds no path of this machine
    asking: Asking


def settle(run: Run, named: str, seed: int, asking: Asking = USUAL) -> Settled:
    """Find the rephraser of that name and the judge that it names, or else the run's first.

    Raises:
        UsageError: there is no such rephraser or judge, or a model of theirs cannot be found.
    """
    manifest = find_rephraser(named)
    names = [] if manifest.judge is None else [manifest.judge]
    (judge,) = placed(chosen_judges(names, run.manifest.judges), asking.judge_at)
    judge = resolve_judge(judge)
    sampling = manifest.sampling.model_copy(update={"seed": manifest.sampling.seed + seed})
    model = None if manifest.model is None else resolve_model(manifest.model, manifest.name)
    found = manifest.model_copy(update={"sampling": sampling, "model": model})
    shown, told = found, {"rephraser": manifest.name, "kind": manifest.kind}
    if model is not None:
        kept = model.model_copy(update={"source": shown_place(model.source)})
        shown = found.model_copy(update={"model": kept})
        told |= {"engine": kept.engine, "model": kept.source}
        told |= {"revision": kept.revision} if kept.revision is not None else {}
    key = digest({"format": FORMAT, "rephraser": identity(shown), "judge": identity(judge)})
    return Settled(found, judge, key, {**told, "judge": judge.name, "key": key}, asking)


def find_rephraser(named: str) -> RephraserManifest:
    """The rephraser of a .yaml path or a shipped name, or ENGINE/MODEL asked in our words.

    Raises:
        UsageError: it is none of these, or the manifest does not hold.
    """
    known = list_manifests(RephraserManifest)
    if named in known or named.endswith((".yaml", ".yml")):
        return load_manifest(RephraserManifest, named)
    engine, _, model = named.partition("/")
    if engine not in get_args(EngineName) or not model:
        raise UsageError(
            f"'{named}' is no rephraser: give one of {', '.join(known)}, a manifest's path ending "
            f"in .yaml, or ENGINE/MODEL, the engine one of {', '.join(get_args(EngineName))}",
            fields=["rephrase"],
        )
    settings = {}
    if engine == "openai":
        served = _SERVED.fullmatch(model)
        if served is None:
            raise UsageError(
                f"'{named}' does not say where it is served: give openai/MODEL@URL, such as "
                f"openai/{model}@http://127.0.0.1:8000/v1, or a manifest",
                fields=["rephrase"],
            )
        model, settings = served["model"], {"base_url": served["url"]}
    name = as_name(model.removeprefix("builtin:"), "model")[:LONGEST_NAME].strip("-")
    spec = ModelSpec.model_validate({"source": model, "engine": engine, "settings": settings})
    return RephraserManifest(name=name, about=f"{named}, asked in our words.", model=spec)
