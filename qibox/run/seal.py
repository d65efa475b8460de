"""A seal in a Parquet file: a flipped bit anywhere in it is an error, never another figure.

Parquet's page checksums leave out the pages' headers and the footer. A flipped bit in a header can
drop a page's rows without a word, one in the footer can change a statistic, and with it a count. So
the hashes of all blocks before the footer, and of the footer itself, stand between the last page
and the footer, where the format leaves room and other readers look at nothing:

    pages | xxh3-64 of each block of 64 KiB | length, footer's hash, seal's hash, magic | footer

Each number has 8 bytes, big endian. A file without a seal is read as it is.

A YAML text has its seal in a comment, its first line: the xxh3-64 of all that follows.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from qibox.run.readable import ReadableFile

BLOCK = 1 << 16  # bytes; what the smallest read must check
TAIL = 1 << 16  # bytes read at once from a file's end: most footers fit
MAGIC = b"qb\x9cseal1"
WORD = 8  # bytes of a hash, a length and the magic
FIXED = 4 * WORD  # of the seal, after the blocks' hashes
END = 8  # the footer's length (4 bytes, little endian) and Parquet's own magic
STEP = 1 << 22  # bytes read at once where all of a file is read
_MARKS = (b"# seal ", b" of the text below: ")
_TEXT_SEAL = re.compile(rb"# seal ([0-9a-f]{16}) of the text below: [^\n]*\n")

Fault = Callable[[str], Exception]  # from what is wrong to what is raised


def seal(file: BinaryIO) -> None:
    """Put a seal into the Parquet file that was just written to an open, readable file.

    The same pages give the same bytes. Ends at the end of the file.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(size - END)
    length = int.from_bytes(file.read(4), "little") + END
    file.seek(size - length)
    footer = file.read(length)
    file.seek(0)
    pages = size - length
    hashes = bytearray()
    for start in range(0, pages, BLOCK):
        hashes += _hash(file.read(min(BLOCK, pages - start)))
    hashes += pages.to_bytes(WORD, "big") + _hash(footer)
    file.seek(pages)
    file.write(bytes(hashes) + _hash(bytes(hashes)) + MAGIC + footer)


def sealed_size(end: bytes) -> int | None:
    """How large the sealed file is that ends so; None where so much of it does not tell."""
    length = int.from_bytes(end[-END:-4], "little") + END
    if end[-4:] != b"PAR1" or length + FIXED > len(end) or end[-length - WORD : -length] != MAGIC:
        return None
    pages = int.from_bytes(end[-length - FIXED : -length - FIXED + WORD], "big")
    sealed = -(-pages // BLOCK) * WORD + FIXED
    hashes, own = end[-length - sealed : -length - 2 * WORD], end[-length - 2 * WORD :][:WORD]
    sound = _hash(hashes) == own and _hash(end[-length:]) == hashes[-WORD:]
    return pages + sealed + length if length + sealed <= len(end) and sound else None


class SealedFile(ReadableFile):
    """A Parquet file to read from, whose bytes are checked before they are given out.

    Raises:
        Exception: what ``fault`` makes of the words for what is wrong with the bytes.
    """

    def __init__(self, file: BinaryIO, fault: Fault) -> None:
        """Read the file's end and check it."""
        super().__init__(file, file.seek(0, io.SEEK_END))
        self._fault = fault
        self._sound: set[int] = set()  # numbers of the blocks that were checked
        self._hashes: bytes | None = None  # of the blocks; None: there is no seal
        self._end = self._read_end()

    def _read_end(self) -> bytes:
        """The footer and the seal, checked; with more before it where a small file allows."""
        if self.size < END:
            raise self._fault("it is empty" if not self.size else "it is cut short")
        end = self._last(min(self.size, TAIL))
        length = int.from_bytes(end[-END:-4], "little") + END
        if length + 4 > self.size or end[-4:] != b"PAR1":
            raise self._fault("it does not end as Parquet does")
        if length + FIXED > len(end):
            end = self._last(min(self.size, length + FIXED))
        if end[-length - WORD : -length] != MAGIC:
            if MAGIC in end[-length:]:
                raise self._fault("its footer's length is not what was written")
            return end
        pages = int.from_bytes(end[-length - FIXED : -length - FIXED + WORD], "big")
        sealed = -(-pages // BLOCK) * WORD + FIXED
        if pages + sealed + length != self.size:
            raise self._fault("its length is not what was written")
        if length + sealed > len(end):
            end = self._last(length + sealed)
        hashes, footer = end[-length - sealed : -length - 2 * WORD], end[-length:]
        own = end[-length - 2 * WORD : -length - WORD]
        if _hash(hashes) != own or _hash(footer) != hashes[-WORD:]:
            raise self._fault("its footer is not what was written")
        self._hashes, self._pages = hashes[: -2 * WORD], pages
        return end

    def _last(self, count: int) -> bytes:
        self._file.seek(self.size - count)
        return self._file.read(count)

    def _read(self, start: int, count: int) -> bytes:
        if self._hashes is None:
            return self._raw(start, count)
        pages = self._pages
        if start >= pages:  # seal and footer, which were checked
            return self._raw(start, count)
        stop = min(start + count, pages)
        first, last = start // BLOCK, (stop - 1) // BLOCK + 1
        if self._sound.issuperset(range(first, last)):
            content = self._raw(start, stop - start)
        else:
            blocks = memoryview(self._raw(first * BLOCK, min(last * BLOCK, pages) - first * BLOCK))
            self._check(blocks, first)
            content = bytes(blocks[start - first * BLOCK : stop - first * BLOCK])
        if stop < start + count:
            content += self._read(stop, start + count - stop)
        return content

    def _raw(self, start: int, count: int) -> bytes:
        """Bytes as they stand; those of the end were read with it."""
        if (at := start - (self.size - len(self._end))) >= 0:
            return self._end[at : at + count]
        self._file.seek(start)
        return self._file.read(count)

    def _check(self, blocks: memoryview, first: int) -> None:
        """Compare whole blocks, the first of which has this number, with the seal."""
        assert self._hashes is not None
        for number, at in enumerate(range(0, len(blocks), BLOCK), start=first):
            if _hash(blocks[at : at + BLOCK]) != self._hashes[number * WORD : (number + 1) * WORD]:
                raise self._fault("its bytes are not what was written")
            self._sound.add(number)

    @property
    def is_sealed(self) -> bool:
        """Whether it has a seal to be checked against."""
        return self._hashes is not None

    def check(self, start: int = 0, stop: int | None = None) -> None:
        """Check the blocks that these bytes lie in; those of the whole file without numbers."""
        if self._hashes is None:
            return
        end = self._pages if stop is None else min(stop, self._pages)
        for at in range(start // BLOCK * BLOCK, end, STEP):
            self._read(at, min(STEP, end - at))


class SealedParquet(pq.ParquetFile):  # type: ignore[misc]  # pyarrow is untyped
    """A Parquet file whose bytes are checked, read by the thread that asks for it alone.

    Arrow's own threads would let go of the file's Python object whenever they come to it. One that
    waits for Python's lock to do so while the interpreter ends is ended in the middle of C++, which
    aborts the process (until Python 3.14). Nor are they faster: all bytes come by way of that lock.
    """

    def __init__(self, file: SealedFile) -> None:
        """Read the footer."""
        super().__init__(file, page_checksum_verification=True, pre_buffer=False)

    def read(self, columns: Sequence[str] | None = None, **more: Any) -> pa.Table:
        """All rows of some columns, or of all."""
        return super().read(columns, **{**more, "use_threads": False})

    def read_row_group(self, i: int, columns: Sequence[str] | None = None, **more: Any) -> pa.Table:
        """One row group's rows."""
        return super().read_row_group(i, columns, **{**more, "use_threads": False})

    def iter_batches(self, *arguments: Any, **more: Any) -> Iterator[pa.RecordBatch]:
        """The rows in batches, which may be smaller than asked for where a row group ends."""
        yield from super().iter_batches(*arguments, **{**more, "use_threads": False})


def check_sealed(path: str) -> None:
    """Check all of a file on this machine, where it has a seal.

    Raises:
        OSError: it is not what was written.
    """
    with Path(path).open("rb") as file:
        SealedFile(file, lambda why: OSError(f"{path} is damaged: {why}")).check()


def sealed_text(text: str) -> str:
    """A YAML text with its seal."""
    how = "whoever changes that removes this line"
    return f"# seal {text_hash(text)} of the text below: {how}\n{text}"


def unsealed_text(content: bytes, fault: Fault) -> bytes:
    """A text without its seal; one that has none is as it is.

    Raises:
        Exception: what ``fault`` makes of a text that is not what was written.
    """
    found = _TEXT_SEAL.match(content)
    if found is None:
        first = content.partition(b"\n")[0]
        if any(mark in first for mark in _MARKS):  # one of them is left where a bit is another
            raise fault("its seal is not what was written")
        return content
    text = content[found.end() :]
    if xxhash.xxh3_64_hexdigest(text).encode() != found[1]:
        raise fault("its text is not what was written")
    return text


def text_hash(text: str) -> str:
    """The xxh3-64 of a text's UTF-8, in hex."""
    return xxhash.xxh3_64_hexdigest(text.encode())


def _hash(content: bytes | memoryview) -> bytes:
    return xxhash.xxh3_64_digest(content)
