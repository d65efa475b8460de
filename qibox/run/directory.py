"""The run directory: one scoring's tables, and where each of them lies.

```
RUN/run.yaml                                              what the run is made of; written first
RUN/pool/shard-00000.parquet, pool/_index.json            samples; the index is written last
RUN/responses/model=<id>/shard-00000.parquet
RUN/judgments/judge=<id>/model=<id>/shard-00000.parquet
RUN/scores/shard-00000.parquet
RUN/rejects/shard-00000.parquet                           pool rows that could not become samples
RUN/selections/<name>/, RUN/policies/<name>/
RUN/evaluations/<benchmark>/                              policies' answers, in this same layout
RUN/profiles/<policy>/                                    a policy's answers to the run's own pool
```
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from qibox.errors import UsageError, command
from qibox.fields import Added, Deciding, Prose
from qibox.manifests.common import Checked
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.load import describe
from qibox.manifests.panel import PanelManifest
from qibox.manifests.pool import PoolManifest
from qibox.run.layout import (
    PROFILES,
    judgments_path,
    pool_path,
    responses_path,
    scores_path,
    split_home,
)
from qibox.run.seal import text_hash
from qibox.run.storage import Storage
from qibox.run.units import (
    FORMAT,
    Shard,
    Unit,
    first_of,
    judgments_keys,
    responses_keys,
    scores_key,
)
from qibox.yaml_text import parse_yaml

RUN_FILE = "run.yaml"
POOL_INDEX = "pool/_index.json"
SEAL = "seal"  # in the index: the xxh3-64 of its other fields
DEFAULT_RUN = "runs/mini"


class RunManifest(Checked):
    """Everything that determines a run's tables, resolved; plus the versions that made them."""

    pool: Deciding[PoolManifest]
    panel: Deciding[PanelManifest]
    # the first one's scores count
    judges: Deciding[Annotated[tuple[JudgeManifest, ...], Field(min_length=1)]]
    # samples taken from the pool; null: all
    limit: Deciding[Annotated[int, Field(ge=1)] | None] = None
    # false: policies answer, not a panel, and their answers make no scores
    scored: Added[bool] = True
    # of the run above, the policies that are asked: the sha256 of each one's lineage
    policies: Prose[dict[str, str]] = {}
    versions: Prose[dict[str, str]] = {}  # of the packages, for the record
    # of the files that were written, by stage: units.FORMAT; {}: of before it was told, 1 each
    format: Prose[dict[str, int]] = {}


class PoolIndex(Checked):
    """What reading the pool came to; read = samples + rejected + duplicates."""

    keys: tuple[str, ...]  # of each shard, in order
    sizes: tuple[int, ...]  # samples in each shard
    read: int
    rejected: int
    duplicates: int  # exact duplicates merged into a sample that was kept

    @property
    def samples(self) -> int:
        """Samples over all shards."""
        return sum(self.sizes)

    def shards(self, limit: int | None = None) -> tuple[Shard, ...]:
        """The shards in order, or so much of them as holds the first ``limit`` samples."""
        rest = self.samples if limit is None else limit
        found = []
        for number, (key, size) in enumerate(zip(self.keys, self.sizes, strict=True)):
            if rest <= 0:
                break
            found.append(first_of(Shard(number, key, size), rest))
            rest -= size
        return tuple(found)


class Run:
    """One run directory: its manifest, the names of its files and the keys of its units.

    ``home`` is set for tables that lie below another run's directory; ``pool_home`` is where their
    samples lie, if not there as well.
    """

    def __init__(
        self,
        storage: Storage,
        manifest: RunManifest,
        home: str = "",
        pool_home: str | None = None,
    ) -> None:
        self.storage = storage
        self.manifest = manifest
        self.home = home
        self.pool_home = home if pool_home is None else pool_home
        self._responses: dict[tuple[str, tuple[Shard, ...]], list[Unit]] = {}  # keys take a while
        self._judgments: dict[tuple[str, tuple[Shard, ...]], list[Unit]] = {}

    @property
    def url(self) -> str:
        """Where its tables lie, for a person."""
        return f"{self.storage.url}/{self.home}".rstrip("/")

    @property
    def borrows_pool(self) -> bool:
        """Whether the samples are another run's."""
        return self.pool_home != self.home

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """Open an existing run.

        Raises:
            UsageError: there is no run at that path, or its manifest cannot be read.
        """
        storage = Storage(path)
        manifest = read_run_manifest(storage)
        if manifest is None:
            raise UsageError(f"no run at {path}: {command('score', out=path)} makes one")
        return cls(storage, manifest)

    @classmethod
    def open_below(cls, path: str | Path) -> "Run":
        """Open a run, or what policies answered below one, in the storage that its writer locks.

        Raises:
            UsageError: as :meth:`open`.
        """
        above, home = split_home(str(path))
        if home and (manifest := read_run_manifest(storage := Storage(above), home)) is not None:
            return cls(storage, manifest, home, "" if home.startswith(PROFILES) else None)
        return cls.open(path)

    @classmethod
    def create(
        cls, storage: Storage, manifest: RunManifest, home: str = "", pool_home: str | None = None
    ) -> "Run":
        """Start a run by writing its manifest, under the formats of this version."""
        manifest = manifest.model_copy(update={"format": dict(FORMAT)})
        storage.write_mapping(f"{home}{RUN_FILE}", manifest.model_dump(mode="json"))
        return cls(storage, manifest, home, pool_home)

    def pool_index(self) -> PoolIndex | None:
        """What reading the pool came to; None until it has been read to its end.

        Raises:
            DamagedFileError: it is not what was written.
        """
        name = f"{self.pool_home}{POOL_INDEX}"
        text = self.storage.text_if_there(name)
        if text is None:
            return None
        try:
            fields = json.loads(text)
            sound = fields.pop(SEAL, None) in (None, text_hash(json.dumps(fields)))
            index = PoolIndex.model_validate(fields)
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise self.storage.fault(name)("it is not the index that was written") from error
        if not sound:
            raise self.storage.fault(name)("it is not the index that was written")
        return index

    def write_pool_index(self, index: PoolIndex) -> None:
        """Mark the pool as read."""
        fields = index.model_dump(mode="json")
        sealed = {**fields, SEAL: text_hash(json.dumps(fields))}
        self.storage.write_text(f"{self.home}{POOL_INDEX}", json.dumps(sealed))

    def responses_units(self, model: str, shards: Sequence[Shard]) -> list[Unit]:
        """The units of one panel model, one a shard."""
        wanted = (model, tuple(shards))
        if wanted not in self._responses:
            self._responses[wanted] = self._responses_units(model, shards)
        return list(self._responses[wanted])

    def _responses_units(self, model: str, shards: Sequence[Shard]) -> list[Unit]:
        panel = self.manifest.panel
        key_of = responses_keys(model, panel.models[model], panel)
        return [
            Unit(
                path=responses_path(model, shard.number, self.home),
                key=key_of(shard.key),
                shard=shard.number,
                samples=shard.samples,
                pool=pool_path(shard.number, self.pool_home),
                model=model,
                home=self.home,
            )
            for shard in shards
        ]

    def judgments_units(self, judge: JudgeManifest, shards: Sequence[Shard]) -> list[Unit]:
        """The units of one judge over all models, model by model.

        A judge that compares is given what the whole panel said; policies that are evaluated are
        compared with themselves alone, so that one more changes nothing of the others.
        """
        wanted = (judge.model_dump_json(), tuple(shards))
        if wanted not in self._judgments:
            self._judgments[wanted] = self._judgments_units(judge, shards)
        return list(self._judgments[wanted])

    def _judgments_units(self, judge: JudgeManifest, shards: Sequence[Shard]) -> list[Unit]:
        responses = [self.responses_units(model, shards) for model in self.manifest.panel.models]
        together = zip(*responses, strict=True)
        panel = {each[0].shard: [unit.key for unit in each] for each in together}
        key_of = judgments_keys(judge)
        return [
            replace(
                unit,
                path=judgments_path(judge.name, unit.model, unit.shard, self.home),
                key=key_of(unit.key, panel[unit.shard] if self.manifest.scored else [unit.key]),
                judge=judge.name,
                inputs=(unit.path,),
            )
            for units in responses
            for unit in units
        ]

    def scores_units(self, shards: Sequence[Shard]) -> list[Unit]:
        """The units that score each shard by the first judge; none where nothing is scored."""
        if not self.manifest.scored:
            return []
        judge = self.manifest.judges[0]
        by_shard: dict[int, list[Unit]] = {shard.number: [] for shard in shards}
        for unit in self.judgments_units(judge, shards):
            by_shard[unit.shard].append(unit)
        return [
            Unit(
                path=scores_path(shard.number, self.home),
                key=scores_key([u.key for u in by_shard[shard.number]], self.manifest.panel),
                shard=shard.number,
                samples=shard.samples,
                pool=pool_path(shard.number, self.pool_home),
                judge=judge.name,
                home=self.home,
                inputs=tuple(u.path for u in by_shard[shard.number]),
            )
            for shard in shards
        ]


def read_run_manifest(storage: Storage, home: str = "") -> RunManifest | None:
    """The manifest of the run at a place; None where there is none.

    Raises:
        UsageError: it cannot be read.
    """
    name = f"{home}{RUN_FILE}"
    text = storage.text_if_there(name)
    return None if text is None else parse_run_manifest(text, f"{storage.url}/{name}")


def parse_run_manifest(text: str, origin: str) -> RunManifest:
    """Check a run manifest's text; ``origin`` names it in the error."""
    try:
        return RunManifest.model_validate(parse_yaml(text))
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(
            f"{origin} is not YAML: score into another directory", fields=["out"]
        ) from error
    except ValidationError as error:
        what = describe(error, RunManifest)
        raise UsageError(
            f"{origin} is not a run's manifest ({what}): score into another directory",
            fields=["out"],
        ) from error
