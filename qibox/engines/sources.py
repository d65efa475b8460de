"""Where a model's weights are, and which ones they are.

A source is ``builtin:<name>`` (shipped with the package), a directory, or a hub id. A hub id's
revision is a commit; a directory's is a fingerprint of its files, ``sha256:…``.
"""

import hashlib
from importlib import resources
from pathlib import Path

from qibox.digests import content_digest
from qibox.errors import UsageError

BUILTIN = "builtin:"
WHOLE = 64 * 2**20  # bytes; larger files are fingerprinted by their size and samples
SAMPLES, SAMPLE = 64, 2**20  # of a large file: how many, spread evenly, and how long, bytes


def local_directory(source: str) -> Path | None:
    """The directory of a source; None if it names a model on the hub.

    Raises:
        UsageError: there is no such shipped model, or the path is not a directory.
    """
    if source.startswith(BUILTIN):
        return _shipped(source.removeprefix(BUILTIN))
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if path.exists() or source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise UsageError(
            f"model source '{source}' is not a directory: give a directory with safetensors "
            "weights, a hub id (owner/name), or builtin:<name>"
        )
    return None


def shown_place(place: str) -> str:
    """A place without what is of this machine: a directory's name, else as it is."""
    is_path = not place.startswith(BUILTIN) and local_directory(place) is not None
    return Path(place).expanduser().resolve().name if is_path else place


def _shipped(name: str) -> Path:
    root = Path(str(resources.files("qibox.mini"))) / "models"
    folder = root / name
    if not name or folder.parent != root or not (folder / "config.json").is_file():
        known = sorted(p.parent.name for p in root.glob("*/config.json"))
        raise UsageError(f"no shipped model named '{name}': shipped ones are {', '.join(known)}")
    return folder


def fingerprint(directory: Path) -> str:
    """``sha256:…`` over a directory's files: their names, sizes and contents.

    Of a file above :data:`WHOLE` bytes, evenly spread samples stand for the content: two sets of
    weights that differ at all differ nearly everywhere.
    """
    hasher = hashlib.sha256()
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        name = path.relative_to(directory)
        if any(part.startswith(".") or part == "__pycache__" for part in name.parts):
            continue
        hasher.update(f"{name.as_posix()}\0{path.stat().st_size}\0".encode())
        hasher.update(content_digest(path, WHOLE, SAMPLES, SAMPLE))
    return f"sha256:{hasher.hexdigest()}"
