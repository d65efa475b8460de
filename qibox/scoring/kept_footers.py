"""What the footers of a finished scoring tell, in one file: RUN/.footers.json.

Whoever asks whether a run's scores are all there need not open each of its files: a file that is as
it was when its footer was noted (inode, size, time of its last change) tells what is noted. Any
other, and all of them where the note is absent, damaged or of another machine's copy, are opened.
Nothing depends on it but time. On an object store nothing is noted.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple, replace
from typing import Any

import xxhash

from qibox.errors import DamagedFileError
from qibox.run.seal import text_hash
from qibox.run.storage import Storage
from qibox.scoring.endings import Counts
from qibox.scoring.footers import Footer, learn, state_of

NAME = ".footers.json"


def keep_footers(storage: Storage, home: str, footers: Mapping[str, Footer]) -> None:
    """Note what these footers tell, which were read or written just now, under the run's lock.

    A line a file, then the hash of them all; written line by line, as there may be thousands.
    """
    if not storage.is_local:
        return
    hasher = xxhash.xxh3_64()
    with storage.writing(f"{home}{NAME}", durable=False) as file:
        for name, footer in footers.items():
            *told, counts = astuple(footer)
            row = [name, state_of(storage, name), *told, counts and counts._asdict()]
            line = f"{json.dumps(row)}\n".encode()
            hasher.update(line)
            file.write(line)
        file.write(hasher.hexdigest().encode())


def recall_footers(storage: Storage, home: str) -> None:
    """Take over what is noted of a run's footers, so that those of unchanged files are known."""
    if not storage.is_local:
        return
    with suppress(FileNotFoundError, IsADirectoryError, DamagedFileError):
        text, line, told = storage.read_text(f"{home}{NAME}").rpartition("\n")
        if text_hash(text + line) == told:
            rows = map(json.loads, text.splitlines())
            learn({storage.url: {name: (state, _footer(*told)) for name, state, *told in rows}})


def _footer(*told: Any) -> Footer:
    footer = Footer(*told)
    counts: Any = footer.counts  # by their names
    return replace(footer, counts=Counts(**counts)) if counts else footer
