"""The run directory: one scoring's tables, and where each of them lies.

```
RUN/run.yaml                                              what the run is made of; written first
RUN/pool/shard-00000.parquet, pool/_index.json            samples; the index is written last
RUN/responses/model=<id>/shard-00000.parquet
RUN/judgments/judge=<id>/model=<id>/shard-00000.parquet
RUN/scores/shard-00000.parquet
RUN/rejects/shard-00000.parquet                           pool rows that could not become samples
RUN/selections/<name>/, RUN/policies/<name>/
```
"""

import json
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from qibox.errors import UsageError
from qibox.manifests.common import Checked
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.load import describe
from qibox.manifests.panel import PanelManifest
from qibox.manifests.pool import PoolManifest
from qibox.run.storage import Storage
from qibox.run.units import Unit, judgments_key, responses_key, scores_key

RUN_FILE = "run.yaml"
POOL_INDEX = "pool/_index.json"
DEFAULT_RUN = "runs/mini"


class RunManifest(Checked):
    """Everything that determines a run's tables, resolved; plus the versions that made them."""

    pool: PoolManifest
    panel: PanelManifest
    judges: Annotated[
        tuple[JudgeManifest, ...], Field(min_length=1)
    ]  # the first one's scores count
    limit: Annotated[int, Field(ge=1)] | None = None  # samples taken from the pool; null: all
    versions: dict[str, str] = {}  # of the packages, for the record; not compared


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


class Run:
    """One run directory: its manifest, the names of its files and the keys of its units."""

    def __init__(self, storage: Storage, manifest: RunManifest) -> None:
        self.storage = storage
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """Open an existing run.

        Raises:
            UsageError: there is no run at that path, or its manifest cannot be read.
        """
        storage = Storage(path)
        if not storage.exists(RUN_FILE):
            raise UsageError(f"no run at {path}: `qibox score --out {path}` makes one")
        return cls(storage, parse_run_manifest(storage.read_text(RUN_FILE), f"{path}/{RUN_FILE}"))

    @classmethod
    def create(cls, storage: Storage, manifest: RunManifest) -> "Run":
        """Start a run by writing its manifest."""
        text = yaml.safe_dump(manifest.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        storage.write_text(RUN_FILE, text)
        return cls(storage, manifest)

    def pool_index(self) -> PoolIndex | None:
        """What reading the pool came to; None until it has been read to its end.

        Raises:
            UsageError: the index is damaged.
        """
        if not self.storage.exists(POOL_INDEX):
            return None
        try:
            return PoolIndex.model_validate_json(self.storage.read_text(POOL_INDEX))
        except ValidationError as error:
            raise UsageError(
                f"{self.storage.url}/{POOL_INDEX} is damaged: remove it, and `qibox score` reads "
                "the pool again"
            ) from error

    def write_pool_index(self, index: PoolIndex) -> None:
        """Mark the pool as read."""
        self.storage.write_text(POOL_INDEX, json.dumps(index.model_dump(mode="json")))

    def responses_units(self, model: str, keys: tuple[str, ...]) -> list[Unit]:
        """The units of one panel model, one a shard; ``keys`` are the shards'."""
        panel = self.manifest.panel
        return [
            Unit(
                stage="responses",
                shard=shard,
                key=responses_key(key, model, panel.models[model], panel),
                model=model,
            )
            for shard, key in enumerate(keys)
        ]

    def judgments_units(self, judge: JudgeManifest, keys: tuple[str, ...]) -> list[Unit]:
        """The units of one judge over all models, shard by shard."""
        responses = [self.responses_units(model, keys) for model in self.manifest.panel.models]
        beside = [[unit.key for unit in shard] for shard in zip(*responses, strict=True)]
        return [
            Unit(
                stage="judgments",
                shard=unit.shard,
                key=judgments_key(unit.key, judge, beside[unit.shard]),
                model=unit.model,
                judge=judge.name,
            )
            for units in responses
            for unit in units
        ]

    def scores_units(self, keys: tuple[str, ...]) -> list[Unit]:
        """The units that score each shard by the run's first judge."""
        judge = self.manifest.judges[0]
        by_shard: list[list[str]] = [[] for _ in keys]
        for unit in self.judgments_units(judge, keys):
            by_shard[unit.shard].append(unit.key)
        return [
            Unit(
                stage="scores",
                shard=shard,
                key=scores_key(judgments, self.manifest.panel),
                judge=judge.name,
            )
            for shard, judgments in enumerate(by_shard)
        ]


def parse_run_manifest(text: str, origin: str) -> RunManifest:
    """Check a run manifest's text; ``origin`` names it in the error."""
    try:
        return RunManifest.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise UsageError(f"{origin} is not YAML: score into another --out") from error
    except ValidationError as error:
        what = describe(error, RunManifest)
        raise UsageError(
            f"{origin} is not a run's manifest ({what}): score into another --out"
        ) from error
