"""How far a wave is, told through the run's storage, so that it works on any runner.

Each worker process writes RUN/progress/<wave>/<worker>.json, at most every half second and only if
something changed; whoever wants to know adds the files up. The files tell of work since the wave
was started; what is finished is known by the units' own files alone.
"""

import contextlib
import json
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from qibox.errors import (
    DamagedFileError,
    QiboxError,
    TooManyRejectsError,
    UsageError,
    WeightsNotFoundError,
)
from qibox.run.reading import side_by_side
from qibox.run.storage import Storage

FOLDER = "progress"
INTERVAL_S = 0.5  # between two reports of one worker, on a local disk
REMOTE_INTERVAL_S = 5.0  # on an object store, where each costs a request
KINDS = (QiboxError, UsageError, WeightsNotFoundError, TooManyRejectsError, DamagedFileError)
ERRORS = {kind.__name__: kind for kind in KINDS}
_QUOTED = re.compile(
    rf"(?:qibox\.errors\.)?(?P<kind>{'|'.join(ERRORS)}): (?P<message>.+?)(?: \[while running|\n|$)"
)


class Stopped(BaseModel):
    """An error that stops the run and that a person can act on."""

    kind: str
    message: str

    def error(self) -> QiboxError:
        """The exception as it was raised in the worker."""
        return ERRORS.get(self.kind, QiboxError)(self.message)


class WaveProgress(BaseModel):
    """What one worker process, or all together, did in a wave so far."""

    units: int = 0  # finished
    rows: int = 0  # written, those of unfinished units included
    failed: int = 0  # of these rows, those with a reason
    reasons: dict[str, int] = {}
    stopped: Stopped | None = None
    at: float = 0.0  # seconds since the epoch


@dataclass
class _Tally:
    units: int = 0
    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class Account:
    """A worker process's account of a wave."""

    def __init__(self, storage: Storage, wave: str) -> None:
        self._storage = storage
        self._name = f"{FOLDER}/{wave}/{uuid.uuid4().hex}.json"
        self._lock = threading.Lock()
        self._tally = _Tally()
        self._stopped: Stopped | None = None
        self._changed = False

    def units(self, count: int) -> "UnitReport":
        """Account for units done together: a context manager that takes all back if it fails."""
        return UnitReport(self, count)

    def add(self, units: int, rows: int, reasons: Counter[str]) -> None:
        """Add to the account; negative counts take back."""
        with self._lock:
            self._tally.units += units
            self._tally.rows += rows
            self._tally.reasons.update(reasons)
            self._changed |= bool(units or rows or reasons)

    def stop(self, error: QiboxError) -> None:
        """Say why this worker cannot go on, at once."""
        kind = type(error).__name__
        with self._lock:
            self._stopped = Stopped(kind=kind, message=str(error))
            self._changed = True
        self.write()

    def write(self) -> None:
        """Write it where others look, if something changed."""
        with self._lock:
            if not self._changed:
                return
            self._changed = False
            reasons = +self._tally.reasons
            report = WaveProgress(
                units=self._tally.units,
                rows=self._tally.rows,
                failed=reasons.total(),
                reasons=dict(reasons.most_common(20)),
                stopped=self._stopped,
                at=time.time(),
            )
        # Where nothing can be written the work itself says so.
        with contextlib.suppress(OSError, QiboxError):
            self._storage.write_text(self._name, report.model_dump_json(), durable=False)


class Reporter:
    """A worker process's accounts of the waves it works off, written by a thread of its own."""

    def __init__(self, storage: Storage, waves: Sequence[str]) -> None:
        self.accounts = tuple(Account(storage, wave) for wave in waves)
        self._interval = INTERVAL_S if storage.is_local else REMOTE_INTERVAL_S
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._write_often, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write the last reports and end the thread."""
        self._end.set()
        self._thread.join()
        self.write()

    def _write_often(self) -> None:
        while not self._end.wait(self._interval):
            self.write()

    def write(self) -> None:
        """Write what there is to report now."""
        for account in self.accounts:
            account.write()


class UnitReport:
    """The rows of some units: call it with the reasons of the rows just written."""

    def __init__(self, account: Account, units: int) -> None:
        self._account = account
        self._units = units
        self._rows = 0
        self._reasons: Counter[str] = Counter()

    def __call__(self, reasons: pa.Array) -> None:
        """Count rows; a row without a reason went well."""
        counted: Counter[str] = Counter()
        if reasons.null_count < len(reasons):
            counts = pc.value_counts(reasons.drop_null()).to_pylist()
            counted.update({count["values"]: count["counts"] for count in counts})
        self._rows += len(reasons)
        self._reasons.update(counted)
        self._account.add(0, len(reasons), counted)

    def __enter__(self) -> "UnitReport":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._account.add(self._units, 0, Counter())
        else:
            self._account.add(0, -self._rows, Counter({r: -n for r, n in self._reasons.items()}))


def read_progress(storage: Storage, wave: str) -> WaveProgress:
    """All workers' reports on a wave, added up; a report that cannot be read yet is left out."""
    total = WaveProgress()
    reasons: Counter[str] = Counter()
    for name in storage.files(f"{FOLDER}/{wave}"):
        try:
            report = WaveProgress.model_validate(json.loads(storage.read_text(name)))
        except (FileNotFoundError, ValueError):
            continue  # removed, or not whole yet on a storage without atomic writes
        reasons.update(report.reasons)
        total = WaveProgress(
            units=total.units + report.units,
            rows=total.rows + report.rows,
            failed=total.failed + report.failed,
            stopped=total.stopped or report.stopped,
            at=max(total.at, report.at),
        )
    return total.model_copy(update={"reasons": dict(reasons)})


def take_stop(storage: Storage, wave: str) -> Stopped | None:
    """Why a worker could not go on, once: its words may tell of the machine, and a run must not."""
    stopped = read_progress(storage, wave).stopped
    if stopped is not None:
        storage.remove(f"{FOLDER}/{wave}")
    return stopped


def said_by_worker(text: str) -> QiboxError | None:
    """The error that a runner quotes of a worker; None where it quotes none that we know."""
    found = _QUOTED.search(text)
    return ERRORS[found["kind"]](found["message"]) if found else None


def clear_progress(storage: Storage) -> None:
    """Forget what earlier workers told."""
    if files := storage.files(FOLDER):
        if storage.is_local:  # each waits for what the disk is at; a store removes all in one go
            for _ in side_by_side(storage.remove_file, files):
                pass
        storage.remove(FOLDER)
