from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from qibox.hashing import row_hashes


def test_equal_rows_hash_alike_and_others_do_not() -> None:
    rows = pa.table({"a": ["x", "y", "x", None, "x"], "b": ["1", "1", "1", "1", "2"]})
    found = row_hashes(rows).tolist()
    assert found[0] == found[2]
    assert len(set(found)) == 4
    assert row_hashes(rows.slice(1, 2)).tolist() == found[1:3]
    assert row_hashes(rows.select(["a"])).tolist() != found
    assert len(row_hashes(rows.slice(0, 0))) == 0


def test_a_hash_is_the_same_in_every_version_and_process() -> None:
    assert row_hashes(pa.table({"id": ["mini:0"]})).tolist() == [3126159096457336347]


def test_many_threads_may_hash_at_once() -> None:
    rows = [pa.table({"id": [f"{n}-{i}" for i in range(1000)]}) for n in range(32)]
    with ThreadPoolExecutor(8) as threads:
        found = [hashes.tolist() for hashes in threads.map(row_hashes, rows)]
    assert found == [row_hashes(table).tolist() for table in rows]
