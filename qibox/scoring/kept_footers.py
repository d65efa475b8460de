"""What the footers of a finished scoring tell, in one file: RUN/.footers.json.

Whoever asks whether a run's scores are all there need not open each of its files: a file that is as
it was when its footer was noted (inode, size, time of its last change) tells what is noted. Any
other, and all of them where the note is absent, damaged or of another machine's copy, are opened.
Nothing depends on it but time. On an object store nothing is noted.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple

from qibox.errors import DamagedFileError
from qibox.run.seal import text_hash
from qibox.run.storage import Storage
from qibox.scoring.footers import Footer, learn, state_of

NAME = ".footers.json"


def keep_footers(storage: Storage, home: str, footers: Mapping[str, Footer]) -> None:
    """Note what these footers tell, which were read or written just now, under the run's lock."""
    if not storage.is_local:
        return
    rows = [(name, state_of(storage, name), *astuple(footer)) for name, footer in footers.items()]
    text = json.dumps(rows)
    storage.write_text(f"{home}{NAME}", f"{text_hash(text)} {text}", durable=False)


def recall_footers(storage: Storage, home: str) -> None:
    """Take over what is noted of a run's footers, so that those of unchanged files are known."""
    if not storage.is_local:
        return
    with suppress(FileNotFoundError, IsADirectoryError, DamagedFileError):
        seal, _, text = storage.read_text(f"{home}{NAME}").partition(" ")
        if text_hash(text) == seal:
            rows = json.loads(text)
            learn({f"{storage.url}/{name}": (state, Footer(*told)) for name, state, *told in rows})
