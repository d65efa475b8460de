"""Make a laboratory, or what is missing of one: pools, manifests, models."""

from collections.abc import Iterator
from pathlib import Path

from qibox.laboratory.files import MODELS, RECORD, write_manifests, write_pools, write_record
from qibox.laboratory.judges import JUDGES, make_missing, missing_judges, write_judges
from qibox.laboratory.plan import SIZES, Plan, check_same
from qibox.mini.train.lab_cast import POLICY
from qibox.run.storage import Storage


def open_folder(plan: Plan, out: str) -> Storage:
    """The directory, its record written first.

    Raises:
        UsageError: another laboratory lies there.
    """
    storage = Storage(Path(out).resolve())
    if storage.exists(RECORD):
        check_same(plan, storage.read_mapping(RECORD), out)
    else:
        write_record(plan, storage)
    return storage


def missing_models(plan: Plan, storage: Storage, judges: bool = False) -> list[str]:
    """Names of the models that are still to be trained; with ``judges``, theirs too."""
    names = (POLICY, *plan.cast.panel)
    missing = [name for name in names if not storage.exists(f"{MODELS}/{name}")]
    return missing + missing_judges(storage) if judges else missing


def make(plan: Plan, storage: Storage, judges: bool = False) -> Iterator[str]:
    """Make what is missing; yields the name of each model when it is trained.

    The same samples for the same seed; the same weights too, on the same versions and number of
    threads. ``judges``: two of this world's own as well.
    """
    write_pools(plan, storage)
    write_manifests(plan, storage)
    if judges or len(missing_judges(storage)) < len(JUDGES):
        write_judges(plan, storage)
    if missing := missing_models(plan, storage, judges):
        from qibox.torchvision_ops import declare_missing_operators

        declare_missing_operators()
        from qibox.mini.train.lab_models import make_models

        folder = Path(storage.path(MODELS))
        yield from make_models(plan.world, plan.cast, SIZES[plan.size].steps, folder)
        if {*missing} & {*JUDGES}:
            yield from make_missing(plan, storage)
