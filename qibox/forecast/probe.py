"""A probe: a small run on samples drawn at random from a pool that has been read.

The samples keep their ids, so the probe asks of them just what the whole job will ask. It has two
shards, each a random part: what a model takes to start falls into the first, so it can be told from
what it takes for a sample; the second holds most samples, so that an engine is as full as may be.
"""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from qibox.catalog.connect import reading
from qibox.errors import UsageError
from qibox.run.directory import PoolIndex, Run
from qibox.run.layout import pool_path
from qibox.run.storage import Storage
from qibox.run.units import shard_key
from qibox.tables import POOL

FIRST: Final = 0.2  # share of the samples in the shard that a model is started with


def draw(run: Run, count: int, seed: int = 0) -> pa.Table:
    """So many samples of the run's pool, drawn by md5("<seed>:<sample_id>"), in that order.

    Raises:
        UsageError: the pool has fewer.
    """
    index = run.pool_index()
    assert index is not None, "the pool was read"
    if count > index.samples:
        raise UsageError(
            f"a probe of {count} samples is more than the pool's {index.samples}: give fewer",
            fields=["probe"],
        )
    rank = f"md5('{seed:d}:' || sample_id), sample_id"
    with reading(run, ("pool",)) as connection:
        ids = connection.sql(f"select sample_id from pool order by {rank} limit {count:d}")
        connection.register("drawn", ids.to_arrow_table())
        rows = connection.sql(
            f"select * from pool where sample_id in (select sample_id from drawn) order by {rank}"
        )
        return rows.to_arrow_table().cast(POOL)


def write_probe(storage: Storage, run: Run, samples: pa.Table) -> tuple[Run, PoolIndex]:
    """A run of the same panel and judges on these samples; people, who rate no probe, are left out.

    Raises:
        UsageError: the run's first judge is people.
    """
    judges = tuple(judge for judge in run.manifest.judges if judge.kind != "people")
    if run.manifest.judges[0].kind == "people":
        raise UsageError(
            f"the first judge of {run.url} is people, whom a probe cannot ask: name another judge",
            fields=["judge"],
        )
    probe = Run.create(storage, run.manifest.model_copy(update={"judges": judges, "limit": None}))
    parts = _parts(samples)
    keys = tuple(shard_key(part) for part in parts)
    for number, (key, part) in enumerate(zip(keys, parts, strict=True)):
        storage.write_table(pool_path(number), part, key)
    sizes = tuple(len(part) for part in parts)
    index = PoolIndex(keys=keys, sizes=sizes, read=len(samples), rejected=0, duplicates=0)
    probe.write_pool_index(index)
    return probe, index


def _parts(samples: pa.Table) -> Sequence[pa.Table]:
    """The first part and the rest, none empty."""
    edge = max(1, int(len(samples) * FIRST))
    return [part for part in (samples.slice(0, edge), samples.slice(edge)) if len(part)]
