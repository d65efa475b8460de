"""Two pools with damaged or hostile inputs among good ones, and the reason that each of those gets.

One has its images embedded in Parquet, the other is JSONL beside a folder of pictures.
"""

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from qibox.manifests import PoolManifest
from tests.pool.making import images, picture, png_declaring, pool

LONG = "x" * (1 << 20)

WHOLE = picture(3, "BMP", (40, 40))

# what stands in an embedded image or a question, and how its reason begins
EMBEDDED: list[tuple[str | None, bytes | None, str]] = [
    ("ok?", picture(1, size=(40, 40))[:60], "image cannot be decoded"),
    ("ok?", WHOLE[:-300], "image cannot be decoded: image file is truncated"),
    ("ok?", b"", "image is empty (0 bytes)"),
    ("ok?", None, "image is missing"),
    ("ok?", b"<html>404</html>", "not an image in a known format"),
    ("ok?", b"#!/bin/sh\nrm -rf .\n" * 9, "not an image in a known format"),
    ("ok?", png_declaring(50_000, 50_000), "image declares 50000x50000 pixels"),
    ("ok?", png_declaring(0, 5), "not an image"),
    (None, picture(2), "question is null"),
    ("", picture(2), "question is empty"),
    (" \t\n\u3000", picture(2), "question is empty"),
    (LONG, picture(2), "question has 1048576 characters, more than the 32768 allowed"),
]


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


LINES: list[tuple[Callable[[int], bytes], str]] = [
    (lambda n: b'{"id": %d, "question"' % n, "line is not JSON"),
    (lambda n: b"\xff\xfe\x00", "line is not UTF-8"),
    (lambda n: b"[" * 100_000, "line is not JSON"),
    (lambda n: b"[1, 2]", "record is a JSON list, not an object"),
    (lambda n: line(id=f"b{n}", question=12, image="good.png"), "question is a number, not text"),
    (lambda n: line(id=f"b{n}", question=["a"], image="good.png"), "question is a list, not text"),
    (lambda n: line(id=f"b{n}", question="\ud800", image="good.png"), "question is not UTF-8"),
    (lambda n: line(id=f"b{n}", question=LONG, image="good.png"), "question has 1048576"),
    (lambda n: line(id=f"b{n}", image="good.png"), "question is null"),
    (lambda n: line(question="q", image="good.png"), "id is missing"),
    (lambda n: line(id="", question="q", image="good.png"), "id is empty"),
    (lambda n: line(id="y" * 600, question="q", image="good.png"), "id has more than 512"),
    (
        lambda n: line(id="good0", question=f"another {n}", image="good.png"),
        "sample_id 'made:good0'",
    ),
    (lambda n: line(id=f"b{n}", question="q"), "image is missing"),
    (lambda n: line(id=f"b{n}", question="q", image=None), "image is missing"),
    (lambda n: line(id=f"b{n}", question="q", image=7), "image is a number, not text"),
    (lambda n: line(id=f"b{n}", question="q", image="none.png"), "no image 'none.png'"),
    (lambda n: line(id=f"b{n}", question="q", image="empty.png"), "image is empty (0 bytes)"),
    (lambda n: line(id=f"b{n}", question="q", image="cut.jpg"), "image "),
    (lambda n: line(id=f"b{n}", question="q", image="page.png"), "not an image"),
    (lambda n: line(id=f"b{n}", question="q", image="bomb.png"), "image declares 30000x30000"),
    (lambda n: line(id=f"b{n}", question="q", image="folder"), "image 'folder' is not a file"),
    (lambda n: line(id=f"b{n}", question="q", image="pipe"), "image 'pipe' is not a file"),
    (lambda n: line(id=f"b{n}", question="q", image="huge.png"), "image 'huge.png' has"),
    (lambda n: line(id=f"b{n}", question="q", image="out.png"), "image path 'out.png' is a link"),
    (lambda n: line(id=f"b{n}", question="q", image="away/secret.png"), "image path 'away' is a"),
    (lambda n: line(id=f"b{n}", question="q", image="dangling.png"), "no image 'dangling.png'"),
    (lambda n: line(id=f"b{n}", question="q", image="loop.png"), "image 'loop.png' cannot be read"),
    (lambda n: line(id=f"b{n}", question="q", image="../secret.png"), "image path '../secret.png'"),
    (lambda n: line(id=f"b{n}", question="q", image="a/../../secret.png"), "image path 'a/../"),
    (lambda n: line(id=f"b{n}", question="q", image="..\\secret.png"), "image path '..\\secret"),
    (
        lambda n: line(id=f"b{n}", question="q", image="/etc/passwd"),
        "image path '/etc/passwd' is abs",
    ),
    (lambda n: line(id=f"b{n}", question="q", image="C:\\x.png"), "image path 'C:\\x.png' is abs"),
    (lambda n: line(id=f"b{n}", question="q", image="file:///etc/passwd"), "image path 'file:/"),
    (lambda n: line(id=f"b{n}", question="q", image="a\0b"), "image path "),
    (lambda n: line(id=f"b{n}", question="q", image="z" * 5000), "image "),
    (
        lambda n: line(id=f"b{n}", question="q", image="good.png", risk="high"),
        "risk 'high' is none",
    ),
    (
        lambda n: line(id=f"b{n}", question="q", image="good.png", severity="bad"),
        "severity 'bad' is not a whole number",
    ),
]


def make_pictures(folder: Path) -> Path:
    """Make a folder of pictures with every trap in it."""
    root = folder / "pictures"
    root.mkdir()
    (root / "good.png").write_bytes(picture(1))
    (root / "folder").mkdir()
    (root / "empty.png").write_bytes(b"")
    noise = Image.effect_noise((50, 50), 60).convert("RGB")
    noise.save(root / "cut.jpg")
    (root / "cut.jpg").write_bytes((root / "cut.jpg").read_bytes()[:-300])
    (root / "page.png").write_bytes(b"<!doctype html>")
    (root / "bomb.png").write_bytes(png_declaring(30_000, 30_000))
    (folder / "secret.png").write_bytes(picture(2))
    (root / "out.png").symlink_to(folder / "secret.png")
    (root / "away").symlink_to(folder)
    (root / "dangling.png").symlink_to("nowhere.png")
    (root / "loop.png").symlink_to("loop.png")
    (root / "inside.png").symlink_to("good.png")
    os.mkfifo(root / "pipe")
    with (root / "huge.png").open("wb") as file:
        file.truncate(1 << 40)  # holes only: a terabyte that takes no room
    return root


@dataclass(frozen=True)
class Hostile:
    """A pool, and how the reason of each of its bad rows begins."""

    manifest: PoolManifest
    reasons: dict[int, str]


def embedded(folder: Path, good: int, bad: int) -> Hostile:
    """Make a Parquet file with embedded images, its rows shuffled."""
    spoiled = [EMBEDDED[n % len(EMBEDDED)] for n in range(bad)]
    rows = [(f"what is {n}?", picture(n)) for n in range(good)] + [b[:2] for b in spoiled]
    order = random.Random(0).sample(range(len(rows)), len(rows))
    questions = pa.array([rows[n][0] for n in order], pa.string())
    table = pa.table({"question": questions, "image": images(*(rows[n][1] for n in order))})
    path = folder / "pool.parquet"
    pq.write_table(table, path, row_group_size=700)
    place = {n: at for at, n in enumerate(order)}
    reasons = {place[good + at]: reason for at, (_, _, reason) in enumerate(spoiled)}
    return Hostile(pool(format="parquet", path=str(path), shard_size=999), reasons)


def lined(folder: Path, good: int, bad: int) -> Hostile:
    """Make a JSONL file, the bad lines in its midst, and its folder of pictures."""
    lines = [
        line(id=f"good{n}", question=f"{n}?", image="inside.png", risk="none", severity=n % 3)
        for n in range(good)
    ]
    reasons = {}
    for n in range(bad):
        make, reason = LINES[n % len(LINES)]
        at = good // 2 + n * 2  # in the midst, every other line
        lines.insert(at, make(n))
        reasons[at] = reason
    path = folder / "pool.jsonl"
    path.write_bytes(b"\n".join(lines))
    manifest = pool(
        format="jsonl",
        path=str(path),
        images=str(make_pictures(folder)),
        columns={"sample_id": "id", "severity": "severity", "risk": "risk"},
    )
    return Hostile(manifest, reasons)
