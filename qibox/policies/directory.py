"""The policies of a run: where each lies and where it is from.

Reads RUN/policies/<name>/ of policies that :mod:`qibox.run.finished` knows.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from qibox.engines.sources import BUILTIN, fingerprint, local_directory
from qibox.errors import UsageError
from qibox.run.finished import POLICY_FILE, selection_names
from qibox.run.layout import policy_path
from qibox.run.storage import Storage
from qibox.selection.read import read_selection

Lineage = dict[str, Any]

_NAME = re.compile(r"[a-z0-9-]+")  # of a policy in a run; a path or hub id may look like anything


def read_lineage(storage: Storage, name: str) -> Lineage | None:
    """Read a policy's lineage; None if no policy of that name was trained to its end."""
    path = policy_path(name, POLICY_FILE)
    if not _NAME.fullmatch(name) or not storage.exists(path):
        return None
    lineage: Lineage = storage.read_mapping(path)
    if not isinstance(lineage.get("plan"), dict):
        raise storage.fault(path)("its plan is gone")
    return lineage


@contextmanager
def model_directory(storage: Storage, name: str) -> Iterator[Path]:
    """Give a policy's model as a local directory, copied where the run lies elsewhere."""
    folder = policy_path(name, "model")
    if storage.is_local:
        yield Path(storage.path(folder))
        return
    with tempfile.TemporaryDirectory(prefix="qibox-policy-") as scratch:
        for file in storage.files(folder):
            target = Path(scratch, Path(file).name)
            with storage.reading(file) as source:
                target.write_bytes(source.read())
        yield Path(scratch)


def start_source(lineage: Lineage, given: str | None) -> tuple[str, str | None]:
    """Return source and revision of the policy that a trained one started from.

    A lineage holds no path of the machine it was trained on, so a start policy that was a directory
    must be ``given``.

    Raises:
        UsageError: it was not given, or other weights were.
    """
    source, revision = lineage["plan"]["policy"], lineage["plan"]["policy_revision"]
    if not revision.startswith("sha256:"):
        return source, revision
    if source.startswith(BUILTIN) and given is None:
        given = source
    if given is None:
        raise UsageError(
            f"the start policy was a directory named '{source}': say where it is", fields=["start"]
        )
    directory = local_directory(given)
    if directory is None or fingerprint(directory) != revision:
        raise UsageError(
            f"{given} does not hold the weights that the policy was trained from "
            f"('{source}', {revision[:19]}…): name the right directory",
            fields=["start"],
        )
    return given, None


def trained_on(storage: Storage, lineage: Lineage) -> pa.Table | None:
    """Return question and images of what a policy was trained on; None if it is there no more."""
    name = lineage["plan"]["selection"]
    if name not in selection_names(storage):
        return None
    return read_selection(storage, name, ["question", "images"])
