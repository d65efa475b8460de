"""Open a run to work on it: its manifest agreed to, its pool read, its folder its own."""

from collections.abc import Callable
from pathlib import Path

from qibox.errors import TooManyRejectsError, UsageError
from qibox.judges.people import NO_LABEL
from qibox.pool.content import with_fingerprints_of
from qibox.run.directory import POOL_INDEX, PoolIndex, Run, RunManifest, read_run_manifest
from qibox.run.layout import is_of_run
from qibox.run.storage import Storage
from qibox.run.units import Shard
from qibox.run.unwritten import Unwritten
from qibox.scoring.consent import (
    RescoreStage,
    check_consent,
    compare,
    moved,
    taken,
    with_added_judges,
)
from qibox.scoring.memory import give_back
from qibox.scoring.plan import Job, Plan, make_plan
from qibox.scoring.stages import ASKING_FOLDERS, STAGE_FOLDERS
from qibox.scoring.summary import Summary, pool_count
from qibox.scoring.watcher import Watcher


def open_run(storage: Storage, manifest: RunManifest, rescore: RescoreStage | None) -> Run:
    """Create the run, or open it under the same manifest, or under another with consent.

    Raises:
        UsageError: the run's manifest differs and ``rescore`` does not cover that.
    """
    earlier = read_run_manifest(storage)
    if earlier is None:
        _check_free(storage)
        return Run.create(storage, manifest)
    run = Run(storage, earlier)
    manifest = taken(run.manifest, with_added_judges(run.manifest, manifest, rescore))
    differences = compare(run.manifest, manifest)
    check_consent(differences, rescore, storage.url)
    if rescore == "pool":  # agreed to read it again; shards that stay the same are kept
        storage.remove(POOL_INDEX)
        return Run.create(storage, manifest)
    if not differences and not moved(run.manifest, manifest):
        return run
    if storage.exists(POOL_INDEX):  # it was read: what it is known by stays what was read
        pool = with_fingerprints_of(run.manifest.pool, manifest.pool)
        manifest = manifest.model_copy(update={"pool": pool})
    return Run.create(storage, manifest)


def _check_free(storage: Storage) -> None:
    """Refuse a directory where a run would mix its files with somebody's own."""
    for folder in ("pool", "rejects", *STAGE_FOLDERS):
        for name in storage.files(folder):
            if not is_of_run(name):
                raise UsageError(
                    f"{storage.url} is no run, and holds {name}, where a run keeps files of its "
                    "own: give another directory",
                    fields=["out"],
                )


def open_pool(
    run: Run, watcher: Watcher, stands: Callable[[Shard], None] | None = None
) -> PoolIndex:
    """The run's pool as shards, read now unless it was read before.

    While it is read, ``stands`` is called with each shard whose file stands.

    Raises:
        UsageError: no sample could be read.
    """
    from qibox.pool.ingest import ingest

    index = run.pool_index()
    if index is None:
        with watcher.reading() as advance:
            index = ingest(run, advance, stands)
        give_back()  # the hashes of all rows, of which the waves need none
    if not index.samples:
        raise UsageError(_no_sample(run, index))
    return index


def _no_sample(run: Run, index: PoolIndex) -> str:
    if not index.read:
        return f"the pool {run.manifest.pool.name} has no rows"
    reason, count = next(iter(pool_count(run, index).reasons.items()))
    return (
        f"the pool has no sample: {index.rejected} of {index.read} rows were refused, {count} of "
        f"them because: {reason}. `qibox status {run.url}` shows the others"
    )


def sweep(run: Run) -> None:
    """Remove what a killed local process left half-written."""
    if not run.storage.is_local:
        return
    for folder in ("pool", *STAGE_FOLDERS):
        for path in Path(run.storage.path(f"{run.home}{folder}")).rglob(".*.parquet.*"):
            path.unlink(missing_ok=True)


def dry_plan(
    storage: Storage,
    manifest: RunManifest,
    rescore: RescoreStage | None = None,
    retry: str | None = None,
) -> tuple[Plan, PoolIndex]:
    """What scoring would do, and what the pool holds; nothing is written.

    A pool that was not read yet is read and checked, but not kept.
    """
    from qibox.pool.ingest import ingest

    index = None
    earlier = read_run_manifest(storage)
    if earlier is not None:
        old = Run(storage, earlier)
        manifest = taken(old.manifest, with_added_judges(old.manifest, manifest, rescore))
        check_consent(compare(old.manifest, manifest), rescore, storage.url)
        index = None if rescore == "pool" else old.pool_index()
    if index is None:
        index = ingest(Run(Unwritten(storage.url), manifest))
    return make_plan(Job(Run(storage, manifest), index), retry=retry), index


def check_rejects(summary: Summary, allowed: float) -> None:
    """Raise if a stage lost more than the allowed share of its rows.

    Raises:
        TooManyRejectsError: names the stage, its share and the commonest reason.
    """
    worst = summary.worst
    if worst.reject_rate <= allowed:
        return
    reason, count = next(each for each in worst.reasons.items() if each[0] != NO_LABEL)
    asked = worst.name in ASKING_FOLDERS
    again = ", or ask them again" if asked else ""
    raise TooManyRejectsError(
        f"{worst.lost} of {worst.good + worst.lost} rows of the stage {worst.name} failed "
        f"({worst.reject_rate:.1%}, allowed {allowed:.1%}), {count} of them because: {reason}. All "
        f"else is done; allow more{again}",
        fields=["max_reject_rate", "retry_failed"] if asked else ["max_reject_rate"],
    )
