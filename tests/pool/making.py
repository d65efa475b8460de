"""Small pools made for a test: pictures, files and runs."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from qibox.manifests import JudgeManifest, PanelManifest, PoolManifest, load_manifest
from qibox.pool.ingest import ingest
from qibox.run.directory import PoolIndex, Run, RunManifest
from qibox.run.storage import Storage
from qibox.tables import IMAGE


def picture(number: int = 0, form: str = "PNG", size: tuple[int, int] = (8, 6)) -> bytes:
    """An encoded picture of one colour, a different one for each number below 2**24."""
    colour = (number & 255, number >> 8 & 255, number >> 16 & 255)
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, form)
    return file.getvalue()


def png_declaring(width: int, height: int) -> bytes:
    """A whole PNG that declares any size and holds next to no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    written = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + written


def images(*encoded: bytes | None) -> pa.Array:
    """A column of embedded images."""
    return pa.array([e if e is None else {"bytes": e, "path": None} for e in encoded], IMAGE)


def pool(**fields: Any) -> PoolManifest:
    """A pool manifest."""
    return PoolManifest.model_validate({"name": "made", "about": "made for a test", **fields})


def new_run(folder: Path, manifest: PoolManifest, limit: int | None = None) -> Run:
    """A run over a pool, not yet read."""
    made = RunManifest(
        pool=manifest,
        panel=load_manifest(PanelManifest, "mini"),
        judges=(load_manifest(JudgeManifest, "oracle"),),
        limit=limit,
    )
    return Run.create(Storage(folder / "run"), made)


def read(
    folder: Path, manifest: PoolManifest, limit: int | None = None
) -> tuple[PoolIndex, list[dict[str, Any]], list[dict[str, Any]]]:
    """Read a pool into a run: its index, its samples and its rejects."""
    run = new_run(folder, manifest, limit)
    index = ingest(run)
    return index, rows_of(run, "pool"), rows_of(run, "rejects")


def rows_of(run: Run, folder: str) -> list[dict[str, Any]]:
    """All rows of a folder's shards, in order."""
    files = [name for name in run.storage.files(folder) if name.endswith(".parquet")]
    return [row for name in files for row in run.storage.read_table(name).to_pylist()]
