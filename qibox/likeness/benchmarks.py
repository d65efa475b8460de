"""The benchmarks of this machine, as what a selection must not hold.

Benchmarks are the shipped pools that are held out, and whatever policies of the run were evaluated
on. What they look like is kept in the run as RUN/likeness/benchmark=<name>/shard-00000.parquet,
under a key of their manifest and of what lies at their places. Nothing is fetched: one that is not
here is named as unchecked.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qibox.errors import UsageError
from qibox.fields import identity
from qibox.likeness.kept import FORMAT
from qibox.likeness.near import Looks, plain
from qibox.likeness.signature import CROPS, SIZE, as_column, bytes_of, signatures
from qibox.manifests.load import list_manifests, load_manifest
from qibox.manifests.pool import PoolManifest
from qibox.pool.content import with_fingerprints
from qibox.pool.hub import is_on_hub
from qibox.pool.ingest import marked_rows
from qibox.pool.read import find_pool
from qibox.run.directory import Run
from qibox.run.layout import evaluation_home, pool_path
from qibox.run.units import digest

ROWS = 200  # pictures in memory at once

BENCHMARK = pa.schema(
    [
        ("sample_id", pa.string()),
        ("question", pa.string()),  # as qibox.likeness.near.plain makes it
        ("blank", pa.bool_()),  # no picture at all
        ("signature", pa.binary(SIZE * len(CROPS))),  # one a crop; null without
    ]
)

_looked_at: dict[str, pa.Table] = {}  # by this process, for another run of it; by key

Told = Callable[[str, int], None]  # a benchmark's name, and how many of its samples are done


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark's samples look like."""

    name: str
    rows: pa.Table  # of :data:`BENCHMARK`

    @property
    def looks(self) -> Looks:
        """To compare with."""
        return looks(self.rows, len(CROPS))


@dataclass(frozen=True)
class Benchmarks:
    """Those that are here, and of the others why they are not."""

    here: tuple[Benchmark, ...] = ()
    unchecked: dict[str, str] = field(default_factory=dict)


def looks(rows: pa.Table, crops: int) -> Looks:
    """The rows' signatures, questions and which have a picture; columns as :data:`BENCHMARK`."""
    column = rows["signature"].combine_chunks()
    seen = np.asarray(column.is_valid())
    known = np.zeros((len(rows), crops, SIZE), np.uint8)
    known[seen] = bytes_of(column.drop_null())
    blank = np.asarray(rows["blank"].to_numpy(), np.bool_)
    return Looks(rows["question"].to_pylist(), known, seen, blank)


def benchmarks(run: Run, *, keep: bool = True, told: Told | None = None) -> Benchmarks:
    """Read what the machine has of benchmarks, apart from the run's own pool."""
    own = {run.manifest.pool.name, *(_name(part) for part in run.manifest.pool.parts)}
    here, unchecked = [], {}
    for name in list_manifests(PoolManifest):
        manifest = load_manifest(PoolManifest, name)
        if not manifest.benchmark or name in own or manifest.parts:  # parts stand by themselves
            continue
        if is_on_hub(manifest):
            unchecked[name] = f"no copy of {manifest.path} is on this machine"
            continue
        try:
            found = with_fingerprints(find_pool(manifest))
            rows = _kept(run, name, found, keep, partial(_read, found), told)
        except UsageError as error:
            unchecked[name] = str(error)
            continue
        here.append(Benchmark(name, rows))
    for name in _evaluated(run):
        if name not in own and all(name != each.name for each in here):
            here.append(Benchmark(name, _of_evaluation(run, name, keep, told)))
            unchecked.pop(name, None)
    return Benchmarks(tuple(here), unchecked)


def _name(part: str | PoolManifest) -> str:
    return part if isinstance(part, str) else part.name


def _evaluated(run: Run) -> list[str]:
    """Benchmarks that policies of the run answered, whose samples lie in the run."""
    names = {file.split("/")[1] for file in run.storage.files("evaluations")}
    return sorted(n for n in names if run.storage.exists(f"{evaluation_home(n)}pool/_index.json"))


def _of_evaluation(run: Run, name: str, keep: bool, told: Told | None) -> pa.Table:
    below = Run.open_below(f"{run.storage.url}/{evaluation_home(name)}")
    index = below.pool_index()
    assert index is not None, "its index was there"

    def read() -> Iterator[pa.Table]:
        for shard in range(len(index.keys)):
            yield run.storage.read_table(pool_path(shard, below.pool_home))

    return _kept(run, name, list(index.keys), keep, read, told)


def _read(manifest: PoolManifest) -> Iterator[pa.Table]:
    for checked, keep, _ in marked_rows(manifest):
        yield checked.samples.filter(keep)


def _kept(
    run: Run,
    name: str,
    what: PoolManifest | list[str],
    keep: bool,
    read: Callable[[], Iterator[pa.Table]],
    told: Told | None,
) -> pa.Table:
    """What the run keeps of a benchmark, or what is read of it now."""
    content = what if isinstance(what, list) else [identity(what), what.fingerprint]
    key = digest({"format": FORMAT, "crops": list(CROPS), "content": content})
    path = f"likeness/benchmark={name}/shard-00000.parquet"
    if run.storage.table_key(path) == key:
        return run.storage.read_table(path)
    rows = _looked_at.get(key)
    if rows is None:
        rows = _looked_at[key] = _look(name, read, told)
    if keep:
        run.storage.write_table(path, rows, key)
    return rows


def _look(name: str, read: Callable[[], Iterator[pa.Table]], told: Told | None) -> pa.Table:
    parts = [BENCHMARK.empty_table()]
    for table in read():
        for start in range(0, len(table), ROWS):
            parts.append(_rows(table.slice(start, ROWS)))
            if told is not None:
                told(name, len(parts[-1]))
    return pa.concat_tables(parts)


def _rows(samples: pa.Table) -> pa.Table:
    content = pc.struct_field(samples["image"].combine_chunks(), "bytes")
    questions = [plain(question) for question in samples["question"].to_pylist()]
    blank = content.is_null()
    columns = [samples["sample_id"], questions, blank, as_column(*signatures(content, CROPS))]
    return pa.table(columns, schema=BENCHMARK)
