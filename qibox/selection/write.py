"""Write a selection: shard, card and, last, lineage. Whole or absent.

Writes RUN/selections/<name>/: data/train-*.parquet, box.png, README.md, left_out.parquet where
anybody was found to be like another sample, refused.parquet where questions were rephrased, and
selection.yaml. On a local disk the folder is made
under a name that starts with a dot and renamed, so that an older selection of that name lasts until
the new one is whole; on an object store the lineage, put last, marks it whole.
"""

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from qibox.errors import DamagedFileError, UsageError
from qibox.figures.style import keep
from qibox.run.directory import Run
from qibox.run.finished import LINEAGE, selection_files
from qibox.run.layout import selection_path
from qibox.selection.card import dataset_card
from qibox.selection.choose import Choice
from qibox.selection.figure import FIGURE, choice_figure
from qibox.selection.lineage import differences, lineage
from qibox.selection.read import read_selection, read_selection_lineage
from qibox.selection.screening import LEFT_OUT
from qibox.selection.shard import write_shard
from qibox.selection.variants import REFUSED, sample_of


def written_already(run: Run, choice: Choice) -> bool:
    """Whether the run has this very selection under its name.

    Raises:
        UsageError: the run has another selection of that name.
        DamagedFileError: it has this one, but a file of it is not what was written.
    """
    name = choice.request.name
    there = read_selection_lineage(run.storage, name)
    if there is None:
        return False
    found = differences(there, lineage(run, choice))
    if found and not (found == ["screened"] and _same_samples(run, choice)):
        raise UsageError(
            f"selection '{name}' is there already, with another {', '.join(found)}: give this one "
            "another name, or overwrite that one",
            fields=["name", "overwrite"],
        )
    _check(run, name)
    return True


def _same_samples(run: Run, choice: Choice) -> bool:
    """Whether the selection holds just what was chosen: more benchmarks are here to check now.

    Raises:
        DamagedFileError: a file of it is not what was written.
    """
    there = read_selection(run.storage, choice.request.name, ["sample_id"])["sample_id"]
    return {sample_of(name) for name in there.to_pylist()} == set(choice.chosen.to_pylist())


def _check(run: Run, name: str) -> None:
    for file in selection_files(run.storage, name):
        run.storage.check_table(file)


def write_selection(
    run: Run,
    choice: Choice,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
    command: str | None = None,
) -> bool:
    """Write the choice; False if the very same selection is there already.

    ``progress`` is called with the number of samples of each group of rows written; ``command`` is
    what the card says one would type to ask for the same.

    Raises:
        UsageError: another selection of that name is there, and is not to be overwritten.
    """
    if _stands(run, choice) if overwrite else written_already(run, choice):
        return False
    folder = selection_path(choice.request.name)
    if not run.storage.is_local:
        run.storage.remove(f"{folder}/{LINEAGE}")
        run.storage.remove(folder)
        _write(run, choice, folder, progress, command)
        return True
    staged = selection_path(f".{choice.request.name}.{uuid.uuid4().hex}")
    try:
        _write(run, choice, staged, progress, command)
        _replace(Path(run.storage.path(staged)), Path(run.storage.path(folder)))
    finally:
        run.storage.remove(staged)
    return True


def _stands(run: Run, choice: Choice) -> bool:
    """Whether this very selection is there, and its files are what was written."""
    name = choice.request.name
    try:
        there = read_selection_lineage(run.storage, name)
        if there is None or differences(there, lineage(run, choice)):
            return False
        _check(run, name)
    except (DamagedFileError, FileNotFoundError, IsADirectoryError):
        return False
    return True


def _write(
    run: Run,
    choice: Choice,
    folder: str,
    progress: Callable[[int], None] | None,
    command: str | None,
) -> None:
    variants = write_shard(run, choice.chosen, folder, progress, choice.augment)
    if choice.screening is not None and len(findings := choice.screening.findings):
        run.storage.write_table(f"{folder}/{LEFT_OUT}", findings)
    if choice.augment is not None and choice.augment.rephrased is not None:
        run.storage.write_table(f"{folder}/{REFUSED}", choice.augment.rephrased.refused)
    keep(run.storage, f"{folder}/{FIGURE}", choice_figure(run, choice))
    run.storage.write_text(f"{folder}/README.md", dataset_card(run, choice, command, variants))
    run.storage.write_mapping(f"{folder}/{LINEAGE}", lineage(run, choice))


def _replace(new: Path, old: Path) -> None:
    """Put a folder in another's place; a folder in use cannot be replaced by one rename."""
    aside = new.with_name(f"{new.name}.old")
    if old.exists():
        old.rename(aside)
    new.rename(old)
    shutil.rmtree(aside, ignore_errors=True)
