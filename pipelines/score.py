"""pool → responses → judgments → scores: one run from its manifest to its summary.

Reads the pool that the manifest names; writes the run directory (:mod:`qibox.run.directory`). What
is already there under the right key is kept, so the same call after a stop does the rest.

Run: ``qibox score --out runs/mini``.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qibox.errors import QiboxError, TooManyRejectsError, UsageError
from qibox.run.directory import POOL_INDEX, RUN_FILE, PoolIndex, Run, RunManifest
from qibox.run.layout import is_of_run
from qibox.run.storage import Storage
from qibox.scoring.consent import RescoreStage, check_consent, compare
from qibox.scoring.lock import locked
from qibox.scoring.memory import share_arenas
from qibox.scoring.plan import OUTDATED, STAGE_FOLDERS, Plan, Wave, make_plan, set_aside
from qibox.scoring.progress import clear_progress, take_stop
from qibox.scoring.resolve import located
from qibox.scoring.summary import Summary, pool_count, summarise

Advance = Callable[[int], None]


class Watcher(Protocol):
    """Is told how far the work is; what it shows to a person is its own affair."""

    def reading(self) -> AbstractContextManager[Advance]:
        """The pool is being read: give back what to call with the rows of each batch."""
        ...

    def wave(self, storage: Storage, wave: Wave) -> AbstractContextManager[None]:
        """A wave is at work while the context lasts; its progress can be read from the storage."""
        ...

    def remark(self, text: str) -> None:
        """One sentence worth knowing."""
        ...


@dataclass(frozen=True)
class Settings:
    """How a run is scored; none of it changes what comes out."""

    beam_options: Sequence[str] = ()
    rescore: RescoreStage | None = None
    max_reject_rate: float = 0.01  # share of failed rows allowed, in any stage
    allow_remote_code: bool = False


def score_run(
    out: str | Path, manifest: RunManifest, watcher: Watcher, settings: Settings = Settings()
) -> Summary:
    """Make a run, or finish one that was begun; gives back the account of all its rows.

    Raises:
        UsageError: the run has another manifest, or something the manifest names is not there.
        QiboxError: another process is writing the run.
    """
    with _quietly():
        from qibox.pipelines.waves import parse_options, quiet_beam

    quiet_beam()
    share_arenas()
    parse_options(settings.beam_options)
    storage = Storage(out)
    with locked(storage):
        run = open_run(storage, manifest, settings.rescore)
        _sweep(storage, settings.beam_options)
        clear_progress(storage)
        index = read_pool(run, watcher)
        plan = make_plan(run, index)
        if plan.outdated:
            where = f"{storage.url}/{OUTDATED}"
            watcher.remark(f"{len(plan.outdated)} files of another manifest moved to {where}")
            set_aside(storage, plan.outdated)
        for wave in plan.waves:
            if wave.pending:
                _run_wave(run, wave, watcher, settings)
        clear_progress(storage)
        plan = make_plan(run, index)
        if plan.pending:
            raise QiboxError(
                f"the Beam runner ended with {plan.pending} units of {storage.url} not done: the "
                "same command goes on with them"
            )
        return summarise(storage, index, plan)


@contextmanager
def _quietly() -> Iterator[None]:
    """Beam warns, when it is imported, of Google libraries that only its users need."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def open_run(storage: Storage, manifest: RunManifest, rescore: RescoreStage | None) -> Run:
    """Create the run, or open it under the same manifest, or under another with consent.

    Raises:
        UsageError: the run's manifest differs and ``rescore`` does not cover that.
    """
    if not storage.exists(RUN_FILE):
        _check_free(storage)
        return Run.create(storage, manifest)
    run = Run.open(storage.url)
    differences = compare(run.manifest, manifest)
    check_consent(differences, rescore, storage.url)
    if rescore == "pool":  # agreed to read it again; shards that stay the same are kept
        storage.remove(POOL_INDEX)
    return Run.create(storage, manifest) if differences else run


def _check_free(storage: Storage) -> None:
    """Refuse a directory where a run would mix its files with somebody's own."""
    for folder in ("pool", "rejects", *STAGE_FOLDERS):
        for name in storage.files(folder):
            if not is_of_run(name):
                raise UsageError(
                    f"{storage.url} is no run, and holds {name}, where a run keeps files of its "
                    "own: give another directory with --out"
                )


def read_pool(run: Run, watcher: Watcher) -> PoolIndex:
    """The run's pool as shards, read now unless it was read before.

    Raises:
        UsageError: no sample could be read.
    """
    from qibox.pool.ingest import ingest

    index = run.pool_index()
    if index is None:
        with watcher.reading() as advance:
            index = ingest(run, advance)
    if not index.samples:
        raise UsageError(_no_sample(run, index))
    return index


def _no_sample(run: Run, index: PoolIndex) -> str:
    if not index.read:
        return f"the pool {run.manifest.pool.name} has no rows"
    reason, count = next(iter(pool_count(run.storage, index).reasons.items()))
    return (
        f"the pool has no sample: {index.rejected} of {index.read} rows were refused, {count} of "
        f"them because: {reason}. `qibox status {run.storage.url}` shows the others"
    )


def check_rejects(summary: Summary, allowed: float) -> None:
    """Raise if a stage lost more than the allowed share of its rows.

    Raises:
        TooManyRejectsError: names the stage, its share and the commonest reason.
    """
    worst = summary.worst
    if worst.reject_rate <= allowed:
        return
    reason, count = next(iter(worst.reasons.items()))
    raise TooManyRejectsError(
        f"{worst.failed} of {worst.good + worst.failed} rows of the stage {worst.name} failed "
        f"({worst.reject_rate:.1%}, allowed {allowed:.1%}), {count} of them because: {reason}. All "
        "else is done; allow more with --max-reject-rate"
    )


def _run_wave(run: Run, wave: Wave, watcher: Watcher, settings: Settings) -> None:
    from qibox.pipelines.waves import make_work, run_wave

    work = make_work(
        Run(run.storage, located(run.manifest)), wave, allow_remote_code=settings.allow_remote_code
    )
    try:
        with watcher.wave(run.storage, wave):
            run_wave(run, wave, work, settings.beam_options)
    except QiboxError:
        raise
    except Exception as error:
        if "KeyboardInterrupt" in str(error):  # Beam makes it an error of the step that it met
            raise KeyboardInterrupt from None
        stopped = take_stop(run.storage, wave.name)
        if stopped is None:
            raise
        raise stopped.error() from None


def _sweep(storage: Storage, beam_options: Sequence[str]) -> None:
    """Remove what a killed local run left half-written; workers elsewhere may still be writing."""
    if not storage.is_local or beam_options:
        return
    for stage in ("pool", *STAGE_FOLDERS):
        for path in Path(storage.path(stage)).rglob(".*.parquet.*"):
            path.unlink(missing_ok=True)


def dry_plan(storage: Storage, manifest: RunManifest, settings: Settings) -> tuple[Plan, PoolIndex]:
    """What :func:`score_run` would do, and what the pool holds; nothing is written.

    A pool that was not read yet is read and checked, but not kept.
    """
    from qibox.pool.ingest import ingest

    run = Run(storage, manifest)
    index = None
    if storage.exists(RUN_FILE):
        old = Run.open(storage.url)
        check_consent(compare(old.manifest, manifest), settings.rescore, storage.url)
        index = None if settings.rescore == "pool" else old.pool_index()
    if index is None:
        index = ingest(Run(Unwritten(storage.url), manifest))
    return make_plan(run, index), index


class Unwritten(Storage):
    """A storage that takes whatever is written and keeps none of it."""

    def write_table(self, name: str, table: object, key: str | None = None) -> None:
        """Keep nothing."""

    def write_text(self, name: str, text: str, *, durable: bool = True) -> None:
        """Keep nothing."""

    def remove(self, name: str) -> None:
        """Remove nothing."""
