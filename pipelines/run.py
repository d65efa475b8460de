"""pool → responses → judgments → scores: from a manifest to a summary, turn by turn.

Reads the pool that the manifest names; writes the run directory (:mod:`qibox.run.directory`). What
is already there under the right key is kept, so the same call after a stop does the rest.

Run: ``qibox score``.
"""

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from qibox import stopping
from qibox.errors import QiboxError
from qibox.importing import importing, pandas_later
from qibox.run.directory import RunManifest
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.adding import places_of_labels
from qibox.scoring.begun import Begun, begun
from qibox.scoring.beside import helped, most_beside
from qibox.scoring.board import Board, posted
from qibox.scoring.consent import RescoreStage
from qibox.scoring.footers import OUTDATED
from qibox.scoring.kept_footers import keep_footers
from qibox.scoring.lock import locked
from qibox.scoring.memory import give_back, share_arenas
from qibox.scoring.opening import open_pool, open_run, sweep
from qibox.scoring.plan import Job, Plan, make_plan, set_aside
from qibox.scoring.progress import clear_progress, said_by_worker, take_stop
from qibox.scoring.resolve import places_of
from qibox.scoring.space import check_space
from qibox.scoring.summary import Summary, summarise
from qibox.scoring.turns import Turn, turns_of
from qibox.scoring.watcher import Watcher
from qibox.trouble import told

MUCH = 100_000  # rows of a turn without models, from which on processes beside do shards as well


@dataclass(frozen=True)
class Settings:
    """How work is carried out; none of it changes what comes out."""

    beam_options: Sequence[str] = ()
    allow_remote_code: bool = False


def score_run(
    out: str | Path,
    manifest: RunManifest,
    watcher: Watcher,
    settings: Settings = Settings(),
    rescore: RescoreStage | None = None,
    retry: str | None = None,
) -> Summary:
    """Make a run, or finish one that was begun; gives back the account of all its rows.

    With ``retry``, failed rows whose reason holds that text are asked again.

    Raises:
        UsageError: the run has another manifest, or something the manifest names is not there.
        QiboxError: another process is writing the run.
    """
    storage = Storage(out)
    places = places_of(manifest)

    def open_jobs() -> list[Job]:
        run = open_run(storage, manifest, rescore)
        known = places | places_of_labels(run)
        early = None if settings.beam_options else stack.enter_context(begun(run, known))
        with pandas_later() if early else nullcontext():
            index = open_pool(run, watcher, early.post if early else None)
        return [Job(run, index, places=known, begun=early)]

    with ExitStack() as stack:
        (summary,) = work_off(storage, open_jobs, watcher, settings, retry)
    return summary


def work_off(
    storage: Storage,
    open_jobs: Callable[[], Sequence[Job]],
    watcher: Watcher,
    settings: Settings,
    retry: str | None = None,
) -> list[Summary]:
    """Do what is missing of some runs in one storage; gives back the account of each.

    ``open_jobs`` is called once nobody else can write there. With ``retry``, failed rows whose
    reason holds that text are asked again as well.

    Raises:
        QiboxError: another process writes there, or a worker could not go on.
    """
    share_arenas()
    if settings.beam_options:  # which are refused before anything is done
        _get_beam_ready(settings.beam_options)
    with locked(storage):
        clear_progress(storage)
        jobs = open_jobs()
        if not settings.beam_options:  # workers elsewhere may still be writing
            for job in jobs:
                if job.begun is None:
                    sweep(job.run)
        mended = _run_all(storage, jobs, watcher, settings, retry)
        with ThreadPoolExecutor(1) as beside:  # a disk that is busy takes its time to remove files
            cleared = beside.submit(clear_progress, storage)
            summaries = _close(storage, [replace(job, begun=None) for job in jobs], mended)
        cleared.result()
        return summaries


def _close(storage: Storage, jobs: Sequence[Job], mended: Sequence[Unit]) -> list[Summary]:
    """See that all is done, and count it."""
    give_back()  # the last shards' tables; to count takes as much
    plan = make_plan(*jobs)
    if plan.pending:
        raise QiboxError(
            f"the Beam runner ended with {plan.pending} units of {storage.url} not done: the "
            "same command goes on with them"
        )
    for job in jobs:
        if job.run.manifest.scored:
            keep_footers(storage, job.run.home, plan.footers)
    return [summarise(job, plan, mended) for job in jobs]


def _run_all(
    storage: Storage,
    jobs: Sequence[Job],
    watcher: Watcher,
    settings: Settings,
    retry: str | None,
) -> list[Unit]:
    """Run all that there is to do, turn by turn; gives back the units that were mended."""
    # To verify takes less on a disk than any model; elsewhere all would be fetched.
    plan = make_plan(*jobs, retry=retry, verify=storage.is_local)
    _set_aside(storage, plan, watcher)
    check_space(storage, plan)
    mended: list[Unit] = []
    mends = retry is not None or any(wave.mends for wave in plan.waves)
    turns = turns_of(plan.waves, together=not mends)
    for number in range(len(turns)):
        turn = turns[number]
        if not turn.pending:
            continue
        _run(storage, turn, watcher, settings, jobs[0].begun)
        if mends:  # what was mended gives later stages something to do
            mended += [unit for wave in turn.waves if wave.stage.asks for unit in wave.mends]
            turns = turns_of(make_plan(*jobs, retry=retry).waves, together=False)
    return mended


def _get_beam_ready(options: Sequence[str]) -> None:
    with _quietly(), importing():
        from qibox.pipelines.wave import parse_options, quiet_beam
    _freeze()
    quiet_beam()
    parse_options(options)


def _freeze() -> None:
    """What was imported stays: half a second less to walk through it at the end."""
    if "duckdb" not in sys.modules:  # which reports what it holds as leaked if that is frozen
        gc.freeze()


@contextmanager
def _quietly() -> Iterator[None]:
    """Beam warns, when it is imported, of Google libraries that only its users need."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _set_aside(storage: Storage, plan: Plan, watcher: Watcher) -> None:
    if plan.outdated:
        where = f"{storage.url}/{OUTDATED}"
        watcher.remark(f"{len(plan.outdated)} files of another manifest moved to {where}")
        set_aside(storage, plan.outdated)
    for sentence in plan.damaged.values():
        watcher.remark(f"{sentence.partition(': ')[0]}: moved to {storage.url}/{OUTDATED}")
    set_aside(storage, plan.damaged)


def _run(
    storage: Storage, turn: Turn, watcher: Watcher, settings: Settings, early: Begun | None
) -> None:
    try:
        if _is_elsewhere(settings):
            _run_elsewhere(storage, turn, watcher, settings)
        else:
            _run_here(storage, turn, watcher, settings, early)
    except Exception as error:
        stopped = _stop_of(storage, turn, error)
        if stopped is None:
            raise
        raise stopped from None


def _is_elsewhere(settings: Settings) -> bool:
    """Whether Beam's options name who does the work."""
    if not settings.beam_options:
        return False
    from qibox.pipelines.wave import is_here

    return not is_here(settings.beam_options)


def _run_elsewhere(storage: Storage, turn: Turn, watcher: Watcher, settings: Settings) -> None:
    """Run a turn by the runner that Beam's options name."""
    from qibox.pipelines.wave import run_by_options

    with watcher.turn(storage, turn), stopping.held():  # Beam must not be left midway
        run_by_options(storage.url, turn, settings.beam_options, settings.allow_remote_code)


def _run_here(
    storage: Storage, turn: Turn, watcher: Watcher, settings: Settings, early: Begun | None
) -> None:
    """Run a turn on this machine; where much is to do, processes beside begin at once."""
    much = storage.is_local and turn.light and turn.pending_rows >= MUCH
    count = most_beside() if much and early is None else 0
    threads = (os.cpu_count() or 1) if turn.light and not count and early is None else 1
    with ExitStack() as stack:
        if early is None:
            board = Board(turn.shards())
            settle = stack.enter_context(helped(board, turn.stages, storage.url, count))
        else:
            assert early.stages == turn.stages
            board, settle = early.board, early.settle
            board.complete(turn.shards())
        stack.enter_context(posted(board))
        stack.enter_context(watcher.turn(storage, turn))
        _get_beam_ready(settings.beam_options)
        from qibox.pipelines.wave import run_here

        beam = settings.beam_options, settings.allow_remote_code
        run = partial(run_here, storage.url, turn, board, threads, *beam)
        with stopping.held():  # Beam must not be left midway
            run()
            settle()
            if not board.is_empty:  # of a process that died at its last shards
                run()


def _stop_of(storage: Storage, turn: Turn, error: Exception) -> QiboxError | None:
    """Why a worker stopped: as it told through the storage or, where it could not, as it said.

    Its own words come first: Beam adds to them.
    """
    try:
        stops = (take_stop(storage, wave.name) for wave in turn.waves)
        stopped = next((stop for stop in stops if stop is not None), None)
    except OSError:
        stopped = None
    return said_by_worker(str(error)) or told(error) if stopped is None else stopped.error()
