import shutil
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.footers import Footer, read_footer, read_footers
from qibox.scoring.handing import ShardStorage, shard_storage
from qibox.scoring.mending import inputs_edition
from qibox.scoring.slices import SLICE_SAMPLES, Source, slices
from qibox.tables import POOL

IDS = ["a", "b", "c"]
ROWS = pa.table({"sample_id": ["a", "a", "b", "b", "c", "c"], "n": range(6)})


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Of a run with one pool shard."""
    found = Storage(tmp_path)
    found.write_table("pool", pa.Table.from_pylist([{"sample_id": i} for i in IDS], schema=POOL))
    return found


def test_what_was_written_is_read_from_memory_slice_by_slice(storage: Storage) -> None:
    handing = ShardStorage(storage, "pool")
    with handing.table_writer("rows", ROWS.schema, "key") as writer:
        writer.write_table(ROWS.slice(0, 4))
        writer.write_table(ROWS.slice(4))
    handing.settling()()
    assert storage.table_key("rows") == "key"
    assert storage.read_table("rows").equals(ROWS.cast(storage.read_table("rows").schema))
    Path(storage.path("rows")).unlink()
    sources = [Source("pool", ["question", "sample_id"]), Source("rows", ["n", "sample_id"], 2)]
    with slices(handing, sources, samples=2) as parts:
        found = [[table.to_pydict() for table in tables] for tables in parts]
    assert found == [
        [
            {"question": [None, None], "sample_id": ["a", "b"]},
            {"n": [0, 1, 2, 3], "sample_id": ["a", "a", "b", "b"]},
        ],
        [{"question": [None], "sample_id": ["c"]}, {"n": [4, 5], "sample_id": ["c", "c"]}],
    ]


def test_what_was_there_before_is_read_from_its_file(storage: Storage) -> None:
    storage.write_table("rows", ROWS)
    handing = ShardStorage(storage, "pool")
    assert handing.held("rows", ["n"]) is None
    assert handing.held("pool", ["image"]) is None  # pictures are not held
    with slices(
        handing, [Source("pool", ["sample_id"]), Source("rows", ["sample_id"], 2)]
    ) as parts:
        assert [len(rows) for _, rows in parts] == [6]


def test_a_file_that_was_not_finished_or_was_mended_is_not_held(storage: Storage) -> None:
    handing = ShardStorage(storage, "pool")
    with suppress(ZeroDivisionError), handing.table_writer("rows", ROWS.schema) as writer:
        writer.write_table(ROWS)
        _ = 1 / 0
    assert handing.held("rows", ["n"]) is None
    with handing.table_writer("rows", ROWS.schema, edition="e") as writer:
        writer.write_table(ROWS)
    assert handing.held("rows", ["n"]) is None
    handing.settling()()


def test_nothing_stands_after_a_file_that_cannot(storage: Storage) -> None:
    Path(storage.path("taken/by a folder")).mkdir(parents=True)
    handing = ShardStorage(storage, "pool")
    for name in ("first", "taken", "last"):
        handing.write_table(name, ROWS)
    with pytest.raises(IsADirectoryError, match="taken"):
        handing.settling()()
    assert sorted(path.name for path in Path(storage.root).iterdir()) == ["first", "pool", "taken"]


def test_the_footer_of_what_was_written_is_not_read_until_the_file_changes(
    storage: Storage,
) -> None:
    rows = ROWS.append_column("reason", pa.array(["why", None, "why", None, None, None]))
    handing = ShardStorage(storage, "pool")
    with handing.table_writer("rows", rows.schema, "key", made_of="these") as writer:
        writer.write_table(rows.slice(0, 4))
        writer.write_table(rows.slice(4))
    handing.settling()()
    path = Path(storage.path("rows"))
    shutil.copy(path, storage.path("copy"))  # of which nothing is known
    told = read_footers(storage, ["rows", "copy", "none"])
    assert told == dict.fromkeys(["rows", "copy"], Footer("key", 6, 2, made_of="these"))
    assert read_footer(storage, "rows") is read_footer(storage, "rows") == told["rows"]
    path.write_bytes(path.read_bytes()[:-1])
    assert read_footers(storage, ["rows"])["rows"].damage is not None
    path.unlink()
    assert read_footer(storage, "rows") is None


def test_what_a_unit_is_made_of_is_known_of_files_held_and_of_others(storage: Storage) -> None:
    unit = Unit("scores", "key", 0, 3, "pool", inputs=("new", "mended"))
    with storage.table_writer("mended", ROWS.schema, edition="e") as writer:
        writer.write_table(ROWS)
    handing = ShardStorage(storage, "pool")
    handing.write_table("new", ROWS)
    here = inputs_edition(handing, unit)
    handing.settling()()
    assert here == inputs_edition(storage, unit) is not None


def test_nothing_is_held_of_a_single_stage_nor_of_a_large_shard(storage: Storage) -> None:
    small = Unit("a", "key", 0, SLICE_SAMPLES, "pool")
    large = Unit("a", "key", 0, SLICE_SAMPLES + 1, "pool")
    assert shard_storage(storage, [[small]]) is storage
    assert shard_storage(storage, [[large], [large]]) is storage
    assert isinstance(shard_storage(storage, [[small], [small]]), ShardStorage)
