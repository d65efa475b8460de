"""Make the judge that a manifest describes, and settle what decides its verdicts."""

import hashlib
from pathlib import PurePosixPath

import fsspec

from qibox.engines.base import Engine
from qibox.errors import UsageError
from qibox.judges.base import Judge
from qibox.manifests.judge import JudgeManifest


def load_judge(manifest: JudgeManifest, *, allow_remote_code: bool = False) -> Judge:
    """Make a judge; a generative or pairwise one starts its engine.

    Raises:
        UsageError: its model or its recordings cannot be read.
    """
    if manifest.kind == "oracle":
        from qibox.judges.oracle import OracleJudge

        return OracleJudge(manifest.weights)
    if manifest.kind == "hash":
        from qibox.judges.hash import HashJudge

        return HashJudge(manifest.weights)
    if manifest.kind == "replay":
        from qibox.judges.replay import ReplayJudge

        assert manifest.path is not None  # the manifest checks it
        return ReplayJudge(manifest.path, manifest.weights)
    if manifest.kind == "people":
        from qibox.judges.people import NO_LABEL
        from qibox.judges.replay import ReplayJudge

        assert manifest.path is not None  # the manifest checks it
        return ReplayJudge(manifest.path, manifest.weights, missing=NO_LABEL)
    assert manifest.model is not None  # the manifest checks it
    from qibox.engines.load import load_engine

    engine = load_engine(manifest.name, manifest.model, allow_remote_code=allow_remote_code)
    return engine_judge(manifest, engine)


def engine_judge(manifest: JudgeManifest, engine: Engine) -> Judge:
    """Make a generative or pairwise judge that asks an engine already started."""
    system = None if manifest.model is None else manifest.model.system
    if manifest.kind == "pairwise":
        from qibox.judges.pairwise import PairwiseJudge

        return PairwiseJudge(
            manifest.name,
            engine,
            manifest.sampling,
            pairs=manifest.pairs,
            safe_from=manifest.safe_from,
            rubric=manifest.rubric,
            system=system,
            form=manifest.form,
        )
    assert manifest.kind == "generative", manifest.kind
    from qibox.judges.generative import GenerativeJudge

    return GenerativeJudge(
        manifest.name,
        engine,
        manifest.weights,
        manifest.sampling,
        rubric=manifest.rubric,
        system=system,
        form=manifest.form,
    )


def resolve_judge(manifest: JudgeManifest, *, preview: bool = False) -> JudgeManifest:
    """Settle what a verdict depends on: the model's engine and revision, or the recordings' hash.

    For a ``preview`` the model's weights need not be here.

    Raises:
        UsageError: the model or the recordings cannot be found, or are not the ones that the
            manifest's ``revision`` names.
    """
    if manifest.model is not None:
        from qibox.engines.load import resolve_model

        model = resolve_model(manifest.model, manifest.name, preview=preview)
        return manifest.model_copy(update={"model": model})
    if manifest.path is None:
        return manifest
    found = recordings_hash(manifest.path)
    if manifest.revision not in (None, found):
        raise UsageError(
            f"the verdicts recorded at {manifest.path} are not those of revision "
            f"{manifest.revision}: their hash is {found}; bring those back or drop the revision"
        )
    return manifest.model_copy(update={"revision": found})


def recordings_hash(path: str) -> str:
    """sha256 over the names and contents of the Parquet files at a path, as ``sha256:<hex>``."""
    filesystem, root = fsspec.core.url_to_fs(path)
    files = sorted(filesystem.find(root)) if filesystem.exists(root) else []
    if not files:
        raise UsageError(f"no recorded verdicts at {path}: check the judge manifest's path")
    total = hashlib.sha256()
    for name in files:
        with filesystem.open(name, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        below = str(PurePosixPath(name).relative_to(root)) if name != root else ""
        total.update(f"{below}\0{content}\n".encode())
    return f"sha256:{total.hexdigest()}"
