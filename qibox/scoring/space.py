"""Whether a disk has room for what a plan will write, asked before the work is begun.

An estimate: rows of a stage are taken to be as large as those that the run holds already, and
without any as large as usual. Only a clear lack stops the work.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from qibox.errors import QiboxError
from qibox.run.storage import Storage
from qibox.scoring.plan import Plan

# Bytes a row, compressed, of answers of a few hundred tokens; low, so as to stop no work that fits.
USUAL = {"responses": 200, "judgments": 60, "scores": 40}
UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")
MEASURED = 20  # files of a stage that are looked at


def check_space(storage: Storage, plan: Plan) -> None:
    """Refuse work that the disk has no room for.

    Raises:
        QiboxError: says what is needed, what is free and what to do.
    """
    if not storage.is_local:
        return
    folder = next(p for p in (Path(storage.root), *Path(storage.root).parents) if p.exists())
    free = shutil.disk_usage(folder).free
    needed = bytes_to_write(storage, plan)
    if needed > free:
        raise QiboxError(
            f"{storage.url} needs about {size(needed)} for what is still to do, and "
            f"{size(free)} are free there: free some space, take fewer samples or responses a "
            "model, or give another directory; what is there is kept",
            fields=["limit", "samples_per_model", "out"],
        )


def bytes_to_write(storage: Storage, plan: Plan) -> int:
    """About how much the pending units will take on the disk."""
    total = 0.0
    for wave in plan.waves:
        if wave.pending:
            done = [unit.path for unit in wave.units if unit.path in plan.footers]
            total += wave.pending_rows * _row_size(storage, plan, wave.stage.folder, done)
    return int(total)


def size(count: int) -> str:
    """A number of bytes for a person."""
    power = min((len(str(count)) - 1) // 3, len(UNITS) - 1)
    return f"{count / 1000**power:.3g} {UNITS[power]}"


def _row_size(storage: Storage, plan: Plan, folder: str, done: Sequence[str]) -> float:
    looked_at = done[:MEASURED]
    rows = sum(plan.footers[name].rows for name in looked_at)
    if not rows:
        return USUAL[folder]
    return sum(Path(storage.path(name)).stat().st_size for name in looked_at) / rows
