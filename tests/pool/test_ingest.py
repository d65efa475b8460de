"""From a pool to shards: counts that add up, files written once, order that never changes."""

import json
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qibox.errors import UsageError
from qibox.manifests import PoolManifest, load_manifest
from qibox.mini.pool import iter_samples
from qibox.pool import shards
from qibox.pool.ingest import ingest
from qibox.run.layout import pool_path
from qibox.run.units import Shard, shard_key
from qibox.tables import POOL
from tests.pool.making import images, new_run, picture, pool, read, rows_of


def write(
    folder: Path, rows: list[tuple[str | None, str, int]], row_group: int = 1000
) -> PoolManifest:
    """A Parquet pool of (id, question, number of the picture)."""
    columns = {
        "id": pa.array([row[0] for row in rows], pa.string()),
        "question": pa.array([row[1] for row in rows], pa.string()),
        "image": images(*(picture(row[2]) for row in rows)),
    }
    pq.write_table(pa.table(columns), folder / "pool.parquet", row_group_size=row_group)
    ids = {} if not rows or rows[0][0] is None else {"columns": {"sample_id": "id"}}
    return pool(format="parquet", path=str(folder / "pool.parquet"), shard_size=3, **ids)


def test_the_miniature_pool(tmp_path: Path) -> None:
    run = new_run(tmp_path, load_manifest(PoolManifest, "mini"), limit=260)
    done: list[int] = []
    index = ingest(run, done.append)
    assert (index.read, index.sizes, index.rejected, index.duplicates) == (260, (250, 10), 0, 0)
    assert sum(done) == 260
    shard = run.storage.read_table(pool_path(0))
    assert shard.schema.equals(POOL)
    assert shard["sample_id"][0].as_py() == "mini-000000"
    assert run.storage.table_key(pool_path(0)) == index.keys[0] == shard_key(shard)
    assert run.pool_index() == index
    assert not run.storage.exists("rejects")


def test_equal_rows_are_merged_and_counted(tmp_path: Path) -> None:
    rows = [(None, "a", 1), (None, "a", 2), (None, "a", 1), (None, "b", 1), (None, "a", 1)]
    index, samples, rejects = read(tmp_path, write(tmp_path, rows, row_group=2))
    assert (index.read, index.samples, index.rejected, index.duplicates) == (5, 3, 0, 2)
    assert [(s["question"], s["image"]["bytes"]) for s in samples] == [
        ("a", picture(1)),
        ("a", picture(2)),
        ("b", picture(1)),
    ]
    assert rejects == []


def test_an_id_that_comes_twice_is_refused_unless_all_is_equal(tmp_path: Path) -> None:
    rows = [("x", "a", 1), ("x", "b", 1), ("x", "a", 1), ("y", "b", 1)]
    index, samples, rejects = read(tmp_path, write(tmp_path, rows))
    # x/b is refused, so y/b is no duplicate of anything kept; the third row merges into the first
    assert [(s["sample_id"], s["question"]) for s in samples] == [("made:x", "a"), ("made:y", "b")]
    assert [(r["row"], r["sample_id"]) for r in rejects] == [(1, "made:x")]
    assert rejects[0]["reason"].startswith("sample_id 'made:x' comes twice with different content")
    assert (index.read, index.rejected, index.duplicates) == (4, 1, 1)


def test_without_ids_the_content_is_the_id(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    rows: list[tuple[str | None, str, int]] = [(None, "one", 1), (None, "two", 2)]
    _, forth, _ = read(tmp_path / "a", write(tmp_path / "a", rows))
    _, back, _ = read(tmp_path / "b", write(tmp_path / "b", rows[::-1]))
    assert {s["question"]: s["sample_id"] for s in forth} == {
        s["question"]: s["sample_id"] for s in back
    }
    assert len(forth[0]["sample_id"]) == len("made:") + 32


def test_a_limit_ends_with_the_row_that_fills_it(tmp_path: Path) -> None:
    rows = [("1", "a", 1), ("2", "", 1), ("3", "a", 1), ("4", "b", 1), ("5", "", 1), ("6", "c", 1)]
    index, samples, rejects = read(tmp_path, write(tmp_path, rows), limit=2)
    assert [s["sample_id"] for s in samples] == ["made:1", "made:4"]
    assert [r["row"] for r in rejects] == [1]
    assert (index.read, index.rejected, index.duplicates) == (4, 1, 1)


def test_a_shard_already_right_is_not_written_again(tmp_path: Path) -> None:
    rows: list[tuple[str | None, str, int]] = [(str(n), f"q{n}", n) for n in range(8)]
    run = new_run(tmp_path, write(tmp_path, rows))
    first = ingest(run)
    files = [Path(run.storage.path(pool_path(at))) for at in range(3)]
    run.storage.write_table(pool_path(1), run.storage.read_table(pool_path(1)), "stale")
    before = [file.stat().st_mtime_ns for file in files]
    assert ingest(run) == first
    after = [file.stat().st_mtime_ns for file in files]
    assert [b == a for b, a in zip(before, after, strict=True)] == [True, False, True]


def test_more_rows_keep_the_shards_before_them(tmp_path: Path) -> None:
    rows: list[tuple[str | None, str, int]] = [(str(n), f"q{n}", n) for n in range(20)]
    run = new_run(tmp_path, write(tmp_path, rows[:7]))
    few = ingest(run)
    write(tmp_path, rows)
    more = ingest(run)
    assert few.sizes == (3, 3, 1)
    assert more.keys[:2] == few.keys[:2]
    assert more.sizes == (3,) * 6 + (2,)


def test_a_shorter_reading_removes_what_a_longer_one_left(tmp_path: Path) -> None:
    rows: list[tuple[str | None, str, int]] = [(str(n), f"q{n}" if n else "", n) for n in range(9)]
    run = new_run(tmp_path, write(tmp_path, rows))
    ingest(run)
    assert rows_of(run, "rejects") != []
    write(tmp_path, rows[1:3])
    assert ingest(run).sizes == (2,)
    assert run.storage.files("pool") == ["pool/_index.json", "pool/shard-00000.parquet"]
    assert run.storage.files("rejects") == []


def test_rejects_without_a_single_sample_are_kept(tmp_path: Path) -> None:
    index, samples, rejects = read(tmp_path, write(tmp_path, [("1", "", 1), ("2", "", 2)]))
    assert (index.samples, samples, index.rejected) == (0, [], 2)
    assert [r["reason"] for r in rejects] == ["question is empty"] * 2


def test_a_shard_of_large_images_closes_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[tuple[str | None, str, int]] = [(str(n), "q", n) for n in range(6)]
    manifest = write(tmp_path, rows).model_copy(update={"shard_size": 100})
    monkeypatch.setattr(shards, "SHARD_BYTES", 400)
    index, samples, _ = read(tmp_path, manifest)
    assert index.sizes == (4, 2)  # 4 rows of about 110 bytes reach 400
    assert len(samples) == 6


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["", "p", "q"]), st.integers(0, 2)),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 7),
)
def test_counts_add_up_and_batches_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], row_group: int
) -> None:
    folder = tmp_path_factory.mktemp("pool")
    (folder / "split").mkdir()
    index, samples, rejects = read(folder, write(folder, rows))
    assert index.read == len(rows) == index.samples + index.rejected + index.duplicates
    assert (index.samples, index.rejected) == (len(samples), len(rejects))
    split, _, _ = read(folder / "split", write(folder / "split", rows, row_group))
    assert split == index
    assert len({s["sample_id"] for s in samples}) == len(samples)
    assert len({(s["question"], s["image"]["bytes"]) for s in samples}) == len(samples)


def test_parts_are_read_in_turn_and_merged_across(tmp_path: Path) -> None:
    for name, numbers in (("first", (1, 2)), ("second", (2, 3))):
        (tmp_path / name).mkdir()
        write(tmp_path / name, [(None, "q", n) for n in numbers])
    parts = [
        pool(
            name=name,
            format="parquet",
            path=str(tmp_path / name / "pool.parquet"),
            license=f"licence of {name}",
        )
        for name in ("first", "second")
    ]
    index, samples, _ = read(tmp_path, pool(name="both", parts=parts))
    assert (index.read, index.samples, index.duplicates) == (4, 3, 1)
    assert [(s["source"], json.loads(s["meta"])["license"]) for s in samples] == [
        ("first", "licence of first"),
        ("first", "licence of first"),
        ("second", "licence of second"),
    ]


def test_a_benchmark_is_no_part_of_a_pool_to_train_on(tmp_path: Path) -> None:
    held_out = load_manifest(PoolManifest, "mini-heldout")
    with pytest.raises(UsageError, match="mini-heldout is a benchmark, held out"):
        read(tmp_path, pool(name="both", parts=["mini", held_out]))


def test_another_number_of_rows_than_published_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = write(tmp_path, [("1", "a", 1), ("2", "b", 2)]).model_copy(update={"rows": 3})
    read(tmp_path, manifest)
    assert caplog.messages == ["pool made: 2 rows read, 3 published"]
    caplog.clear()
    read(tmp_path, manifest, limit=1)
    assert caplog.messages == []


def test_a_shard_says_each_samples_licence_and_its_key_does_not(tmp_path: Path) -> None:
    """The key is that of before there was the column: computed by the version that lacked it."""
    samples = pa.Table.from_pylist(list(iter_samples("train", 3)), schema=POOL)
    pinned = "7a0c4f0541dcc75f53131d801a06c26e9eb7049baf385a466daee817c02599d9"
    assert shard_key(samples) == pinned
    told = samples.set_column(
        samples.column_names.index("license"), POOL.field("license"), pa.array(["MIT"] * 3)
    )
    assert shard_key(told) == pinned
    _, mini, _ = read(tmp_path, load_manifest(PoolManifest, "mini"), limit=3)
    assert {s["license"] for s in mini} == {"Apache-2.0"}


@pytest.mark.parametrize("held", [1 << 20, 0])
def test_shards_stand_in_any_order_and_few_are_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(shards, "HELD_BYTES", held)
    manifest = write(tmp_path, [(None, f"q{number}", number) for number in range(15)])
    run, second = new_run(tmp_path, manifest), threading.Event()
    real, writing, most = run.storage.write_table, [0], [0]
    stood: list[Shard] = []

    def write_table(name: str, table: pa.Table, key: str | None = None) -> None:
        writing[0] += 1
        most[0] = max(most[0], writing[0])
        if name == pool_path(0) and held:
            assert second.wait(60)  # it is written while the first one is
        real(name, table, key)
        writing[0] -= 1
        if name == pool_path(1):
            second.set()

    monkeypatch.setattr(run.storage, "write_table", write_table)
    index = ingest(run, stands=stood.append)
    assert index.sizes == (3,) * 5
    keys = [shard_key(run.storage.read_table(pool_path(number))) for number in range(5)]
    assert list(index.keys) == keys
    assert sorted(stood, key=lambda shard: shard.number) == list(index.shards())
    assert most[0] == 1 if not held else 2 <= most[0] <= shards.THREADS
