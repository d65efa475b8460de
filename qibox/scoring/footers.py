"""What a table's file tells without being read: key, editions, rows and how many failed.

A footer that this very process wrote or read is remembered, and not read while the file is as it
was then: closing a run's account would take as long as a tenth of making it. A remote file's state
is what a listing told of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from qibox.errors import DamagedFileError
from qibox.run.editions import edition_of
from qibox.run.mending import telling_damage
from qibox.run.reading import side_by_side
from qibox.run.storage import KEY, MADE_OF, Storage
from qibox.scoring.endings import Counts, counts_told, present_values

OUTDATED = "outdated"  # where files go that the manifest has no place for any more


@dataclass(frozen=True, slots=True)
class Footer:
    """What a Parquet file's footer tells: its unit's key and its rows, without reading any."""

    key: str | None
    rows: int
    failed: int  # rows with a reason
    edition: str | None = None  # of its content, see qibox.run.editions; None: as first written
    made_of: str | None = None  # the editions of the files that it was made of
    damage: str | None = None  # what is wrong with a file that is not what was written
    counts: Counts | None = None  # of responses, see qibox.scoring.endings


Noted = dict[str, dict[str, tuple[int | str, Footer]]]  # by storage and name, with a file's state
_remembered: Noted = {}


def remember(storage: Storage, name: str, footer: Footer) -> None:
    """Note what the footer of a file tells that was written just now; on a local disk only."""
    if storage.is_local:
        _note(storage, name, _local_state(storage.path(name)), footer)


def _note(storage: Storage, name: str, state: int | str, footer: Footer) -> None:
    _remembered.setdefault(storage.url, {})[name] = (state, footer)


def hand_on() -> Noted:
    """What was noted in this process, for another to learn; it is forgotten here."""
    noted = dict(_remembered)
    _remembered.clear()
    return noted


def learn(noted: Noted) -> None:
    """Take over what another process noted."""
    for url, files in noted.items():
        _remembered.setdefault(url, {}).update(files)


def _local_state(path: str) -> int:
    """A number that changes when a file is replaced or written into."""
    found = Path(path).stat()
    return hash((found.st_ino, found.st_size, found.st_mtime_ns))  # of numbers: the same anywhere


def state_of(storage: Storage, name: str) -> int | str | None:
    """What changes with a file; None where nothing tells it."""
    if not storage.is_local:
        return storage.listed_state(name)
    try:
        return _local_state(storage.path(name))
    except OSError:
        return None


def _recall(storage: Storage, name: str) -> Footer | None:
    """The footer that is remembered of a file, if it still is as it was."""
    noted = _remembered.get(storage.url, {}).get(name)
    return noted[1] if noted is not None and noted[0] == state_of(storage, name) else None


def read_footers(storage: Storage, names: Iterable[str]) -> dict[str, Footer]:
    """The footers of these files, by name; files that are gone meanwhile are left out."""
    known = {name: _recall(storage, name) for name in names}
    unknown = [name for name, footer in known.items() if footer is None]
    if not unknown:
        return cast(dict[str, Footer], known)
    known |= zip(unknown, side_by_side(partial(read_footer, storage), unknown), strict=True)
    return {name: footer for name, footer in known.items() if footer}


def read_footer(storage: Storage, name: str) -> Footer | None:
    """A file's footer; None if there is no such file."""
    if (footer := _recall(storage, name)) is not None:
        return footer
    footer = _read(storage, name)
    if footer is not None and (state := storage.listed_state(name)) is not None:
        _note(storage, name, state, footer)
    return footer


def _read(storage: Storage, name: str) -> Footer | None:
    try:
        with storage.parquet(name) as parquet, telling_damage(storage.fault(name)):
            notes = parquet.schema_arrow.metadata or {}
            key, made_of = notes.get(KEY), notes.get(MADE_OF)
            return Footer(
                key=key.decode() if key else None,
                rows=parquet.metadata.num_rows,
                failed=present_values(parquet, "reason"),
                edition=edition_of(parquet),
                made_of=made_of.decode() if made_of else None,
                counts=counts_told(parquet),
            )
    except FileNotFoundError:
        return None
    except DamagedFileError as error:  # never taken for done: set aside and made again
        return Footer(key=None, rows=0, failed=0, damage=str(error))


def read_through(storage: Storage, names: Iterable[str]) -> dict[str, str]:
    """Read files whole: what is wrong with those that are damaged, by name."""
    names = list(names)
    found = side_by_side(partial(_damage, storage), names)
    return {name: damage for name, damage in zip(names, found, strict=True) if damage}


def damaged_tables(storage: Storage, *, through: bool) -> dict[str, str]:
    """What is wrong with the damaged tables of a run, by name; from their footers, or all read.

    What was set aside before does not count.
    """
    names = [
        name
        for name in storage.files("")
        if name.endswith(".parquet") and not name.startswith(f"{OUTDATED}/")
    ]
    if through:
        return read_through(storage, names)
    footers = read_footers(storage, names)
    return {name: each.damage for name, each in footers.items() if each.damage is not None}


def _damage(storage: Storage, name: str) -> str | None:
    try:
        storage.check_table(name)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        return str(error)
    return None
