"""What lies at a local pool's places, in one word, so that a changed file is noticed.

Looked at whenever a run is made or goes on, so it must be cheap: a file of data is known by its
name, its size and its content, of more than 4 MiB by 16 samples of 64 KiB from its first byte to
its last (a Parquet file's footer, which any other content changes, is among them); all other files,
which are pictures, by their names alone, as their bytes lie in the run. So what is not noticed is a
picture that was replaced under its name, and an edit in a large file of lines that keeps its size.
"""

import glob
import hashlib
from pathlib import Path

import fsspec

from qibox.digests import content_digest
from qibox.manifests.pool import PoolManifest

DATA = {".parquet", ".arrow", ".csv", ".tsv", ".jsonl", ".json", ".zip"}
WHOLE = 4 << 20  # bytes; larger files are sampled
SAMPLES, LENGTH = 16, 64 << 10  # of a large file: how many, and how long, bytes


def with_fingerprints(pool: PoolManifest) -> PoolManifest:
    """The pool, and those of its parts that are manifests, with what lies there now."""
    parts = tuple(p if isinstance(p, str) else with_fingerprints(p) for p in pool.parts)
    return pool.model_copy(update={"parts": parts, "fingerprint": fingerprint(pool)})


def with_fingerprints_of(read: PoolManifest, pool: PoolManifest) -> PoolManifest:
    """The pool, known by what lay there when it was read as ``read``."""
    parts = tuple(
        after
        if isinstance(before, str) or isinstance(after, str)
        else with_fingerprints_of(before, after)
        for before, after in zip(read.parts, pool.parts, strict=False)
    )
    return pool.model_copy(update={"parts": parts or pool.parts, "fingerprint": read.fingerprint})


def fingerprint(pool: PoolManifest) -> str | None:
    """``sha256:…`` of what lies at a pool's places.

    None where nothing local is read, or it cannot be looked at.
    """
    if pool.format in (None, "mini"):
        return None
    hasher = hashlib.sha256()
    for role, place in (("path", pool.path), ("images", pool.images)):
        if place is None:
            continue
        try:
            files = _files(place)
            if not files:
                return None
            hasher.update(f"{role}\0".encode())
            for name, file in files:
                hasher.update(f"{name}\0".encode())
                if file.suffix.lower() in DATA or len(files) == 1:
                    hasher.update(f"{file.stat().st_size}\0".encode())
                    hasher.update(content_digest(file, WHOLE, SAMPLES, LENGTH))
        except OSError:  # whoever reads it says why
            return None
    return f"sha256:{hasher.hexdigest()}"


def _files(place: str) -> list[tuple[str, Path]]:
    """The files at a local place, each with its name there, sorted; none elsewhere."""
    fs, path = fsspec.core.url_to_fs(place)
    if "file" not in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol):
        return []
    root = Path(path)
    if root.is_dir():
        found = {p.relative_to(root).as_posix(): p for p in root.rglob("*")}
        return sorted((name, p) for name, p in found.items() if _counts(name) and p.is_file())
    if root.is_file():
        return [(root.name, root)]
    return sorted((Path(name).name, Path(name)) for name in glob.glob(path, recursive=True))  # noqa: PTH207  # pathlib takes no absolute pattern


def _counts(name: str) -> bool:
    return not any(part.startswith(".") for part in name.split("/"))
