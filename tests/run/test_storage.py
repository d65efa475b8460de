import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qibox.errors import DamagedFileError
from qibox.run.seal import SealedFile
from qibox.run.storage import Storage

TABLE = pa.table({"a": pa.array([1, 2, None], pa.int32()), "b": ["x", "y", "z"]})


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """A local directory, and a remote filesystem (no rename, no directories of its own)."""
    if request.param == "local":
        yield Storage(tmp_path / "root")
        return
    remote = Storage(f"memory://{uuid.uuid4().hex}")
    yield remote
    remote.remove("")


def everything(storage: Storage) -> list[str]:
    """All names under the root, hidden ones included."""
    if not storage.exists(""):
        return []
    return [str(name) for name in storage.fs.find(storage.root)]


def test_what_is_written_is_read_again(storage: Storage) -> None:
    storage.write_text("a/b/run.yaml", "naïve: 猫\n")
    assert storage.read_text("a/b/run.yaml") == "naïve: 猫\n"
    with storage.writing("a/bytes") as file:
        file.write(b"\x00\x01")
    with storage.reading("a/bytes") as file:
        assert file.read() == b"\x00\x01"
    assert storage.exists("a/bytes")
    assert storage.exists("a")
    assert not storage.exists("a/other")
    assert storage.files("") == ["a/b/run.yaml", "a/bytes"]
    assert storage.files("a/b") == ["a/b/run.yaml"]
    assert storage.files("absent") == []


def fail_half_way(storage: Storage, name: str) -> None:
    with storage.writing(name) as file:
        file.write(b"half")
        raise KeyError


def fail_after_a_batch(storage: Storage, name: str) -> None:
    with storage.table_writer(name, TABLE.schema, "k") as writer:
        writer.write_table(TABLE)
        raise KeyError


def test_an_error_while_writing_leaves_nothing(storage: Storage) -> None:
    storage.write_text("keep", "this")
    before = everything(storage)
    with pytest.raises(KeyError):
        fail_half_way(storage, "a/new")
    with pytest.raises(KeyError):
        fail_after_a_batch(storage, "a/new.parquet")
    assert not storage.exists("a/new")
    assert everything(storage) == before
    assert storage.table_key("a/new.parquet") is None


def test_an_error_while_writing_leaves_the_old_file(storage: Storage) -> None:
    storage.write_text("file", "old")
    with pytest.raises(KeyError):
        fail_half_way(storage, "file")
    assert storage.read_text("file") == "old"
    storage.write_text("file", "new")
    assert storage.read_text("file") == "new"


def test_a_file_appears_only_when_it_is_whole(storage: Storage) -> None:
    with storage.writing("folder/file") as file:
        file.write(b"half")
        file.flush()
        assert not storage.exists("folder/file")
        assert storage.files("") == []
    assert storage.files("") == ["folder/file"]


def test_tables_keep_their_schema_rows_and_key(storage: Storage) -> None:
    storage.write_table("t/shard-00000.parquet", TABLE, key="abc")
    assert storage.read_table("t/shard-00000.parquet").equals(TABLE)
    assert storage.read_table("t/shard-00000.parquet", columns=["b"]).equals(TABLE.select(["b"]))
    assert storage.table_key("t/shard-00000.parquet") == "abc"
    storage.write_table("t/unkeyed.parquet", TABLE)
    assert storage.table_key("t/unkeyed.parquet") is None


def test_a_table_may_be_written_batch_by_batch(storage: Storage) -> None:
    with storage.table_writer("t.parquet", TABLE.schema, "k") as writer:
        writer.write_table(TABLE.slice(0, 1))
        writer.write_table(TABLE.slice(1))
    assert storage.read_table("t.parquet").equals(TABLE)
    assert storage.table_key("t.parquet") == "k"


def test_no_thread_of_arrows_ever_holds_a_file(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one lets go of it while Python ends, the process is aborted."""
    many = pa.table({name: range(1000) for name in "abcdefgh"})
    with storage.table_writer("many.parquet", many.schema) as writer:
        writer.write_table(many, row_group_size=100)
    readers = set()
    read = SealedFile._read

    def told(file: SealedFile, start: int, count: int) -> bytes:
        readers.add(threading.get_ident())
        return read(file, start, count)

    monkeypatch.setattr(SealedFile, "_read", told)
    assert storage.read_table("many.parquet") == many
    with storage.parquet("many.parquet") as parquet:
        assert len(parquet.read_row_group(3, columns=["a", "b"])) == 100
        assert sum(map(len, parquet.iter_batches(64))) == 1000
    assert readers == {threading.get_ident()}


def test_other_metadata_stays_beside_the_key(storage: Storage) -> None:
    storage.write_table("t.parquet", TABLE.replace_schema_metadata({"huggingface": "{}"}), "k")
    with storage.reading("t.parquet") as file:
        metadata = pq.ParquetFile(file).schema_arrow.metadata
    assert metadata[b"huggingface"] == b"{}"
    assert storage.table_key("t.parquet") == "k"


def test_a_damaged_table_has_no_key(storage: Storage) -> None:
    storage.write_table("whole.parquet", TABLE, "k")
    with storage.reading("whole.parquet") as file:
        content = file.read()
    for name, part in {"cut": content[:-20], "empty": b"", "other": b"PAR1 not Parquet"}.items():
        with storage.writing(f"{name}.parquet") as file:
            file.write(part)
        assert storage.table_key(f"{name}.parquet") is None
    assert storage.table_key("absent.parquet") is None


def test_any_flipped_bit_or_cut_of_fields_is_an_error(tmp_path: Path) -> None:
    storage, fields = Storage(tmp_path), {"limit": 16, "name": "Köln", "note": None}
    storage.write_mapping("run.yaml", fields)
    content = (tmp_path / "run.yaml").read_bytes()
    changed = [content[:cut] for cut in range(len(content))]
    for bit in range(0, 8 * len(content), 3):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        changed.append(bytes(flipped))
    told = []
    for each in changed:
        (tmp_path / "run.yaml").write_bytes(each)
        try:
            assert storage.read_mapping("run.yaml") == fields
        except DamagedFileError as error:
            told.append(str(error))
    assert all("run.yaml is damaged" in each for each in told)
    assert len(told) > 0.6 * len(changed)  # what is left are the words after the seal
    (tmp_path / "run.yaml").write_bytes(content.partition(b"\n")[2])  # somebody's own change
    assert storage.read_mapping("run.yaml") == fields


def test_removing_takes_files_and_folders_and_minds_nothing_missing(storage: Storage) -> None:
    storage.write_text("a/b/c", "1")
    storage.write_text("a/d", "2")
    storage.remove("a/d")
    storage.remove("absent")
    assert storage.files("") == ["a/b/c"]
    storage.remove("a")
    assert storage.files("") == []


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/etc/passwd"])
def test_a_name_never_leaves_the_root(name: str, storage: Storage) -> None:
    with pytest.raises(AssertionError):
        storage.path(name)


def test_local_and_remote_urls(tmp_path: Path) -> None:
    local = Storage(tmp_path)
    assert local.is_local
    assert local.url == str(tmp_path)
    assert Storage(f"file://{tmp_path}").url == str(tmp_path)
    remote = Storage("memory://bucket/run/")
    assert not remote.is_local
    assert remote.url == "memory://bucket/run"


def test_files_being_written_are_hidden_and_a_kill_leaves_nothing_named(tmp_path: Path) -> None:
    """A process killed half-way leaves at most a dot file; the next write goes on as if alone."""
    code = (
        "import sys\nfrom qibox.run.storage import Storage\n"
        f"with Storage({str(tmp_path)!r}).writing('t/shard.parquet') as file:\n"
        "    file.write(b'half')\n    file.flush()\n    print('written', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        os.kill(process.pid, signal.SIGKILL)
    assert [p.name.startswith(".") for p in (tmp_path / "t").iterdir()] == [True]
    storage = Storage(tmp_path)
    assert storage.files("") == []
    assert not list(tmp_path.rglob("*.parquet"))
    storage.write_table("t/shard.parquet", TABLE, "k")
    assert storage.files("") == ["t/shard.parquet"]
