"""An unfinished training: what it has so far, from which it goes on after it was stopped.

Lies in policies/<name>/training/, beside the policy that the new one may replace:

- plan.yaml, what is trained; written first
- rollouts/part-*.parquet, metrics.jsonl and, where there were any, alarms.parquet, growing
- checkpoints/RRRRRR/, after round R: the trainer's files and, last, whole.yaml, which lists them; a
  checkpoint without it is not there. Only the latest is kept
- in the end model/, README.md and, last, policy.yaml: from then on the policy is whole, and
  :meth:`Unfinished.settle` puts it in the place of an old one. Each step of that may be stopped and
  done again, so at any time there is a whole policy or enough to finish one.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from qibox.errors import UsageError
from qibox.grpo.training_plan import TrainingPlan, changed_fields, listed
from qibox.policies.card import CARD
from qibox.run.finished import POLICY_FILE
from qibox.run.kept_files import check_files, file_hash, read_json_lines
from qibox.run.storage import Storage
from qibox.tables import ALARMS

WHOLE = "whole.yaml"
NEVER_KEPT = ("training_args.bin",)  # a pickle, with this machine's paths
BLOCK = 1 << 24

State = dict[str, Any]


class Unfinished:
    """The files of one training that goes on."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._home = f"policies/{name}"
        self.folder = f"{self._home}/training"

    def is_whole(self) -> bool:
        """Whether the new policy is there and only its place is not yet."""
        return self._storage.exists(f"{self.folder}/{POLICY_FILE}")

    def claim(self, plan: TrainingPlan, *, overwrite: bool) -> None:
        """Make room for a training: keep what is there of this very one, drop any other.

        Raises:
            UsageError: checkpoints of another training of this name are there, and are not to be
                overwritten.
        """
        path = f"{self.folder}/plan.yaml"
        if self._storage.exists(path):
            names = changed_fields(self._storage.read_mapping(path), plan)
            if not names:
                return
            if self._checkpoints() and not overwrite:
                raise UsageError(
                    f"policy '{self._name}' has an unfinished training with another "
                    f"{listed(names)}: give this one another name, or overwrite that one",
                    fields=["name", "overwrite"],
                )
        self._storage.remove(self.folder)
        self._storage.write_mapping(path, plan.model_dump(mode="json"))

    def save(self, source: Path, number: int, state: State) -> None:
        """Keep a directory as the checkpoint after a round, and drop the one before."""
        earlier = self._checkpoints()
        folder = f"{self.folder}/checkpoints/{number:06d}"
        files = upload(source, self._storage, folder)
        self._storage.write_mapping(f"{folder}/{WHOLE}", {"files": files, "state": state})
        for other in earlier:
            if other != number:
                self._storage.remove(f"{self.folder}/checkpoints/{other:06d}")

    def restore(self, target: Path) -> tuple[int, State] | None:
        """Copy the latest whole checkpoint into a directory; its round and state, None if none.

        Rows and metrics of later rounds are dropped: these rounds are to be drawn again.
        """
        numbers = self._checkpoints()
        number = max(numbers, default=0)
        self._forget_after(number)
        if not numbers:
            return None
        folder = f"{self.folder}/checkpoints/{number:06d}"
        whole = self._storage.read_mapping(f"{folder}/{WHOLE}")
        for name in whole["files"]:
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._storage.reading(f"{folder}/{name}") as stream, path.open("wb") as file:
                shutil.copyfileobj(stream, file, BLOCK)
        check_files(self._storage, folder, whole["files"])
        return number, whole["state"]

    def metrics(self) -> list[dict[str, Any]]:
        """Return the rows of metrics.jsonl."""
        path = f"{self.folder}/metrics.jsonl"
        if not self._storage.exists(path):
            return []
        return read_json_lines(self._storage, path)

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Write metrics.jsonl anew."""
        lines = [json.dumps(row) + "\n" for row in rows]
        self._storage.write_text(f"{self.folder}/metrics.jsonl", "".join(lines))

    def alarms(self) -> list[dict[str, Any]]:
        """Return the rows of alarms.parquet."""
        path = f"{self.folder}/alarms.parquet"
        there = self._storage.exists(path)
        return self._storage.read_table(path).to_pylist() if there else []

    def write_alarms(self, rows: list[dict[str, Any]]) -> None:
        """Write alarms.parquet anew; none where there are none."""
        path = f"{self.folder}/alarms.parquet"
        if rows:
            self._storage.write_table(path, pa.Table.from_pylist(rows, schema=ALARMS))
        else:
            self._storage.remove(path)

    def take(self, source: Path, part: str) -> None:
        """Put a directory of this machine among what the new policy is made of."""
        upload(source, self._storage, f"{self.folder}/{part}")

    def finish(self, lineage: dict[str, Any]) -> None:
        """Make the new policy whole, and put it in its place."""
        prefix = f"{self.folder}/"
        names = [file.removeprefix(prefix) for file in self._storage.files(self.folder)]
        ours = [n for n in names if n != "plan.yaml" and not n.startswith("checkpoints/")]
        listed = {n: None if n == CARD else file_hash(self._storage, prefix + n) for n in ours}
        self._storage.write_mapping(f"{self.folder}/{POLICY_FILE}", lineage | {"files": listed})
        self.settle()

    def settle(self) -> bool:
        """Put the new policy in the place of what was there; False if none is whole."""
        if not self.is_whole():
            return False
        storage, home = self._storage, self._home
        storage.remove(f"{self.folder}/checkpoints")
        storage.remove(f"{self.folder}/plan.yaml")
        lineage = storage.read_mapping(f"{self.folder}/{POLICY_FILE}")
        ours = {f"{home}/{name}" for name in lineage["files"]}
        storage.remove(f"{home}/{POLICY_FILE}")
        for file in storage.files(home):
            if file not in ours and not file.startswith(f"{self.folder}/"):
                storage.remove(file)
        for file in storage.files(self.folder):
            if not file.endswith(f"/{POLICY_FILE}"):
                move(storage, file, home + file.removeprefix(self.folder))
        move(storage, f"{self.folder}/{POLICY_FILE}", f"{home}/{POLICY_FILE}")
        storage.remove(self.folder)
        return True

    def last_checkpoint(self) -> int | None:
        """The round after which there is a whole checkpoint; None if there is none."""
        return max(self._checkpoints(), default=None)

    def _checkpoints(self) -> list[int]:
        """Rounds after which there is a whole checkpoint."""
        pattern = re.compile(rf"{re.escape(self.folder)}/checkpoints/([0-9]+)/{WHOLE}")
        found = (pattern.fullmatch(file) for file in self._storage.files(self.folder))
        return [int(match[1]) for match in found if match]

    def _forget_after(self, number: int) -> None:
        for file in self._storage.files(f"{self.folder}/rollouts"):
            if int(Path(file).stem.removeprefix("part-")) > number:
                self._storage.remove(file)
        self.write_metrics([row for row in self.metrics() if row["step"] <= number])
        self.write_alarms([row for row in self.alarms() if row["step"] <= number])


def upload(source: Path, storage: Storage, folder: str) -> dict[str, str]:
    """Copy a directory's files, sorted, into a folder of a storage.

    Gives back their hashes by their names in it.
    """
    hashes = {}
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        if file.name in NEVER_KEPT:
            continue
        name = file.relative_to(source).as_posix()
        hasher = xxhash.xxh3_64()
        with storage.writing(f"{folder}/{name}") as target, file.open("rb") as stream:
            while block := stream.read(BLOCK):
                hasher.update(block)
                target.write(block)
        hashes[name] = hasher.hexdigest()
    return hashes


def move(storage: Storage, source: str, target: str) -> None:
    """Move one file within a storage, over one that may be there."""
    if storage.is_local:
        path = Path(storage.path(target))
        path.parent.mkdir(parents=True, exist_ok=True)
        Path(storage.path(source)).replace(path)
        return
    storage.fs.copy(storage.path(source), storage.path(target))  # an object store has no rename
    storage.remove(source)
