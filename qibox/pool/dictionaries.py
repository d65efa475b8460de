"""How large a row of a Parquet file may be once it is decoded.

Usually its share of the row group. But values that repeat may lie in their chunk's dictionary once,
and be numbers elsewhere: a chunk of numbers may hold many times its size. There a value is taken to
be as large as the dictionary's are on average, whose number the dictionary's page header tells
(parquet.thrift, ``PageHeader.dictionary_page_header.num_values``) and pyarrow does not.
"""

from typing import IO

import pyarrow.parquet as pq

HEADER = 128  # bytes that a page header takes at most here
DICTIONARY_PAGE_HEADER, NUM_VALUES = 7, 1  # fields of parquet.thrift
I32, STRUCT = 5, 12  # types of Thrift's compact protocol


def row_bytes(source: IO[bytes], group: pq.RowGroupMetaData, columns: list[str]) -> float:
    """Bytes of a row of a row group in memory, on average or more."""
    rows = max(group.num_rows, 1)
    hidden = 0.0
    for chunk in (group.column(at) for at in range(group.num_columns)):
        if chunk.path_in_schema.partition(".")[0] not in columns or not chunk.has_dictionary_page:
            continue
        size = max(0, chunk.data_page_offset - chunk.dictionary_page_offset)
        if size > HEADER:
            hidden += size / max(1, dictionary_values(source, chunk.dictionary_page_offset))
    share: float = group.total_byte_size / rows
    return max(hidden, share)


def dictionary_values(source: IO[bytes], offset: int) -> int:
    """How many values the dictionary page at an offset of a file holds; 1 where it cannot be told.

    The lowest number makes a value the largest, and a batch the smallest.
    """
    source.seek(offset)
    try:
        header, _ = _struct(source.read(HEADER), 0)
    except (IndexError, ValueError):
        return 1
    inner = header.get(DICTIONARY_PAGE_HEADER)
    count = inner.get(NUM_VALUES) if isinstance(inner, dict) else None
    return count if isinstance(count, int) else 1


Fields = dict[int, "int | Fields"]


def _struct(data: bytes, at: int) -> tuple[Fields, int]:
    """The numbers and structures among a structure's fields, and where it ends."""
    fields: Fields = {}
    number = 0
    while data[at]:
        step, kind = data[at] >> 4, data[at] & 15
        if not step:
            raise ValueError("a field's number in full: no page header has one")
        number, at = number + step, at + 1
        if kind == I32:
            value, at = _varint(data, at)
            fields[number] = (value >> 1) ^ -(value & 1)
        elif kind == STRUCT:
            fields[number], at = _struct(data, at)
        elif kind > 2:  # 1 and 2 are true and false themselves
            raise ValueError(f"a field of type {kind}: no page header has one")
    return fields, at + 1


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while data[at] & 128:
        value, shift, at = value | (data[at] & 127) << shift, shift + 7, at + 1
    return value | data[at] << shift, at + 1
