"""A set of hashes must answer as Python's own set does."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from qibox.pool.buffers import bytes_and_offsets, spans
from qibox.pool.duplicates import HASH, SeenHashes, content_hashes, hexadecimal, text_hashes

KEYS = st.integers(0, 40).map(lambda n: bytes([0, n]) + bytes(12) + bytes([n, 0]))


@given(st.lists(st.lists(KEYS, max_size=12), max_size=12), st.lists(KEYS, max_size=20))
def test_it_holds_what_was_added(batches: list[list[bytes]], asked: list[bytes]) -> None:
    seen, known = SeenHashes(), set[bytes]()
    for batch in batches:
        seen.add(np.array(batch, dtype=HASH))
        known |= set(batch)
    found = seen.holds(np.array(asked, dtype=HASH))
    assert found.tolist() == [key in known for key in asked]


def test_many_small_additions_stay_in_few_runs() -> None:
    seen = SeenHashes()
    hashes = text_hashes(pa.array([str(n) for n in range(5000)]))
    for start in range(0, 5000, 10):
        seen.add(hashes[start : start + 10])
    assert seen.holds(hashes).all()
    assert len(seen._runs) <= 10  # runs double: log2(500) and one more


def test_a_row_s_content_is_its_question_and_its_image() -> None:
    questions = pa.array(["q", "q", "qq", "q", "q", None])
    data = pa.array([b"i", b"i", b"i", None, b"", b"i"], pa.binary())
    found = hexadecimal(content_hashes(questions, data)).to_pylist()
    assert found[0] == found[1]
    assert len(set(found)) == 5
    assert {len(digits) for digits in found} == {32}


def test_a_boundary_between_question_and_image_counts() -> None:
    first = content_hashes(pa.array(["ab"]), pa.array([b"c"]))
    second = content_hashes(pa.array(["a"]), pa.array([b"bc"]))
    assert first.tolist() != second.tolist()


@given(st.lists(st.one_of(st.none(), st.binary(max_size=5)), max_size=8), st.integers(0, 8))
def test_spans_are_the_values(values: list[bytes | None], start: int) -> None:
    for kind in (pa.binary(), pa.large_binary()):
        column = pa.array(values, kind).slice(start)
        assert [bytes(span) for span in spans(column)] == [v or b"" for v in values[start:]]
        assert len(bytes_and_offsets(column)[1]) == len(column) + 1


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=6), st.data())
def test_a_slice_has_the_hashes_of_its_rows(texts: list[str | None], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(texts) - 1))
    questions = pa.array(texts, pa.string())
    images = pa.array([text and text.encode() for text in texts], pa.binary())
    whole = content_hashes(questions, images)
    assert content_hashes(questions.slice(start), images.slice(start)).tolist() == (
        whole[start:].tolist()
    )
