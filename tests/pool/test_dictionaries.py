"""Sizes of rows that lie in dictionaries, of files as pyarrow writes them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qibox.pool.dictionaries import dictionary_values, row_bytes


def written(path: Path, values: list[bytes], **options: object) -> pq.ParquetFile:
    pq.write_table(pa.table({"image": values}), path, **options)
    return pq.ParquetFile(path)


@pytest.mark.parametrize("checksums", [False, True])
@pytest.mark.parametrize("different", [1, 3, 200, 1000])
def test_a_dictionarys_values_are_counted(tmp_path: Path, different: int, checksums: bool) -> None:
    values = [b"%06d" % (at % different) * 20 for at in range(1000)]
    file = written(tmp_path / "some.parquet", values, write_page_checksum=checksums)
    with (tmp_path / "some.parquet").open("rb") as source:
        chunk = file.metadata.row_group(0).column(0)
        assert dictionary_values(source, chunk.dictionary_page_offset) == different


def test_what_is_no_page_has_one_value(tmp_path: Path) -> None:
    path = tmp_path / "none"
    path.write_bytes(b"PAR1" + bytes(range(200, 255)))
    with path.open("rb") as source:
        assert [dictionary_values(source, at) for at in (0, 4, 40, 58, 1000)] == [1] * 5


def test_different_pictures_weigh_what_they_do_and_a_repeated_one_the_whole(tmp_path: Path) -> None:
    """1,000 of 10 KB, all in a dictionary as writers leave it; and 200 times the same of 1 MB."""
    each = [at.to_bytes(4, "big") * 2500 for at in range(1000)]
    many = written(tmp_path / "many.parquet", each, compression="none")
    with (tmp_path / "many.parquet").open("rb") as source:
        assert 10_000 < row_bytes(source, many.metadata.row_group(0), ["image"]) < 10_200
    one = written(tmp_path / "one.parquet", [bytes(1 << 20)] * 200, compression="none")
    with (tmp_path / "one.parquet").open("rb") as source:
        assert row_bytes(source, one.metadata.row_group(0), ["image"]) >= 1 << 20
