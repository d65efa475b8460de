"""pool → responses → judgments → scores: from a manifest to a summary, turn by turn.

Reads the pool that the manifest names; writes the run directory (:mod:`qibox.run.directory`). What
is already there under the right key is kept, so the same call after a stop does the rest.

Run: ``qibox score``.
"""

import gc
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qibox import stopping
from qibox.engines.recording import recorded_bytes
from qibox.errors import QiboxError
from qibox.importing import importing
from qibox.run.directory import POOL_INDEX, RunManifest
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring import beside
from qibox.scoring.adding import places_of_labels
from qibox.scoring.consent import RescoreStage
from qibox.scoring.footers import OUTDATED
from qibox.scoring.kept_footers import keep_footers
from qibox.scoring.lock import locked
from qibox.scoring.memory import share_arenas
from qibox.scoring.opening import open_pool, open_run, sweep
from qibox.scoring.plan import Job, Plan, make_plan, set_aside
from qibox.scoring.progress import clear_progress, said_by_worker, take_stop
from qibox.scoring.resolve import places_of
from qibox.scoring.space import check_space
from qibox.scoring.summary import Summary, summarise
from qibox.scoring.turns import Turn, turns_of
from qibox.scoring.watcher import Watcher
from qibox.trouble import told

MUCH = 10 << 20  # bytes of recorded responses, from which on a process is started beside


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
    anew = storage.is_local and not storage.exists(POOL_INDEX)

    def open_jobs() -> list[Job]:
        run = open_run(storage, manifest, rescore)
        return [Job(run, open_pool(run, watcher), places=places | places_of_labels(run))]

    with beside.ending():
        if anew and not settings.beam_options and _plays_much(manifest, places):
            beside.start()  # soon, as it takes a second, in which this process has enough to do
        (summary,) = work_off(storage, open_jobs, watcher, settings, retry)
    return summary


def _plays_much(manifest: RunManifest, places: Mapping[str, str]) -> bool:
    """Whether all responses are recorded ones, and many."""
    models = manifest.panel.models
    if any(spec.engine != "replay" for spec in models.values()):
        return False
    return sum(map(recorded_bytes, {places[model] for model in models})) >= MUCH


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
    _get_beam_ready(settings)
    with locked(storage):
        clear_progress(storage)
        jobs = open_jobs()
        if not settings.beam_options:  # workers elsewhere may still be writing
            for job in jobs:
                sweep(job.run)
        mended = _run_all(storage, jobs, watcher, settings, retry)
        clear_progress(storage)
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
        _run(storage, turn, watcher, settings)
        if mends:  # what was mended gives later stages something to do
            mended += [unit for wave in turn.waves if wave.stage.asks for unit in wave.mends]
            turns = turns_of(make_plan(*jobs, retry=retry).waves, together=False)
    return mended


def _get_beam_ready(settings: Settings) -> None:
    with _quietly(), importing():
        from qibox.pipelines.wave import parse_options, quiet_beam
    if "duckdb" not in sys.modules:  # which reports what it holds as leaked if that is frozen
        gc.freeze()  # what was imported stays: half a second less to walk through it at the end

    quiet_beam()
    share_arenas()
    parse_options(settings.beam_options)


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


def _run(storage: Storage, turn: Turn, watcher: Watcher, settings: Settings) -> None:
    from qibox.pipelines.wave import run_turn

    try:
        with watcher.turn(storage, turn), stopping.held():  # Beam must not be left midway
            run_turn(storage.url, turn, settings.beam_options, settings.allow_remote_code)
    except Exception as error:
        stopped = _stop_of(storage, turn, error)
        if stopped is None:
            raise
        raise stopped from None


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
