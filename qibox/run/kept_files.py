"""Files of a run that are no tables: texts with a seal, and files whose hashes a text lists.

A policy's weights, measurements and figure have no room for a seal of their own: their hashes stand
in the lineage that is written after them, and those of a checkpoint in the list that makes it
whole. Lists of before that, which only name the files, stay valid.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import xxhash

from qibox.errors import DamagedFileError
from qibox.run.finished import POLICY_FILE, policy_names
from qibox.run.layout import policy_path
from qibox.run.storage import Storage

STEP = 1 << 22  # bytes read at once
SEALED = (".yaml", "_index.json")  # how the names of sealed texts end

# Names, with the hash of each or without; None: it is made of the others, and may be made anew.
Listed = Mapping[str, str | None] | Sequence[str]


def file_hash(storage: Storage, name: str) -> str:
    """The xxh3-64 of a file's bytes, in hex."""
    hasher = xxhash.xxh3_64()
    with storage.reading(name) as file:
        while block := file.read(STEP):
            hasher.update(block)
    return hasher.hexdigest()


def check_files(storage: Storage, folder: str, listed: Listed, below: str = "") -> None:
    """Read those of a folder's listed files whose names begin so, and compare their hashes.

    Raises:
        DamagedFileError: one is gone, or not what was written.
    """
    if not isinstance(listed, Mapping):
        return
    for name, wanted in listed.items():
        if wanted is None or not name.startswith(below):
            continue
        file = f"{folder}/{name}"
        try:
            found = file_hash(storage, file)
        except FileNotFoundError as error:
            raise storage.fault(file)("it is gone") from error
        if found != wanted:
            raise storage.fault(file)("its bytes are not what was written")


def read_json_lines(storage: Storage, name: str) -> list[dict[str, Any]]:
    """The objects of a file that has one a line.

    Raises:
        DamagedFileError: a line is something else.
    """
    rows = []
    for number, line in enumerate(storage.read_text(name).splitlines(), start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise storage.fault(name)(f"line {number} is no JSON object")
        rows.append(row)
    return rows


def damaged_others(storage: Storage) -> dict[str, str]:
    """What is wrong with sealed texts of a run and the files of its policies, by name."""
    found = {}
    for name in storage.files(""):
        if name.endswith(SEALED):
            try:
                storage.read_text(name)
            except DamagedFileError as error:
                found[name] = str(error)
    for policy in policy_names(storage):
        lineage = policy_path(policy, POLICY_FILE)
        if lineage in found:
            continue
        try:
            listed = storage.read_mapping(lineage).get("files", ())
            check_files(storage, policy_path(policy), listed)
        except DamagedFileError as error:
            found[lineage] = str(error)
    return found
