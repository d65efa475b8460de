"""A thousand damaged or hostile inputs among five thousand good ones: each has its reason."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qibox.pool.images import decode_image
from tests.pool.hostile import embedded, lined
from tests.pool.making import images, picture, pool, read

GOOD, BAD = 2_500, 500  # of each of the two pools


def test_embedded_images(tmp_path: Path) -> None:
    made = embedded(tmp_path, GOOD, BAD)
    index, samples, rejects = read(tmp_path, made.manifest)

    assert (index.read, index.samples, index.rejected) == (GOOD + BAD, GOOD, BAD)
    assert index.duplicates == 0
    assert index.sizes == (999, 999, 502)
    assert {s["question"] for s in samples} == {f"what is {n}?" for n in range(GOOD)}
    assert {r["row"] for r in rejects} == set(made.reasons)
    assert [r for r in rejects if not r["reason"].startswith(made.reasons[r["row"]])] == []


def test_text_that_is_not_utf8_in_a_column_of_text(tmp_path: Path) -> None:
    raw = pa.array([b"fine", b"\xff\xfe broken", b"\xc3\xa9t\xc3\xa9"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 3, raw.buffers())  # Arrow checks no text it reads
    table = pa.table({"question": broken, "image": images(*map(picture, range(3)))})
    pq.write_table(table, tmp_path / "pool.parquet")
    index, samples, rejects = read(
        tmp_path, pool(format="parquet", path=str(tmp_path / "pool.parquet"))
    )
    assert [s["question"] for s in samples] == ["fine", "été"]
    assert [(r["row"], r["reason"]) for r in rejects] == [(1, "text is not UTF-8")]
    assert (index.read, index.rejected) == (3, 1)


def test_lines_and_files(tmp_path: Path) -> None:
    made = lined(tmp_path, GOOD, BAD)
    index, samples, rejects = read(tmp_path, made.manifest)

    assert (index.read, index.samples, index.rejected) == (GOOD + BAD, GOOD, BAD)
    assert [s["sample_id"] for s in samples] == [f"made:good{n}" for n in range(GOOD)]
    assert {s["image"]["bytes"] for s in samples} == {picture(1)}
    assert {r["row"] for r in rejects} == set(made.reasons)
    assert [r for r in rejects if not r["reason"].startswith(made.reasons[r["row"]])] == []
    assert {r["source"] for r in rejects} == {"made"}
    assert max(Counter(r["reason"][:20] for r in rejects).values()) < BAD / 2


def test_damage_in_the_middle_is_found_where_it_is_decoded(tmp_path: Path) -> None:
    whole = picture(5, size=(64, 64))
    damaged = whole[:45] + b"\0\0\0\0" + whole[49:]
    table = pa.table({"question": ["q"], "image": images(damaged)})
    pq.write_table(table, tmp_path / "pool.parquet")
    index, _, _ = read(tmp_path, pool(format="parquet", path=str(tmp_path / "pool.parquet")))
    assert index.samples == 1  # its head and its end are right
    with pytest.raises(Exception, match="image cannot be decoded"):
        decode_image(damaged)
