"""Streams any pool as checked rows: picks the reader by the manifest's format.

Reads what the manifest names, in batches, each pool of a combined one in turn; writes nothing.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

import fsspec
import pyarrow as pa

from qibox.errors import PoolNotFoundError, UsageError
from qibox.manifests.load import load_manifest
from qibox.manifests.pool import PoolManifest
from qibox.pool.check import Checker, checked_samples
from qibox.pool.lines import read_csv, read_json_list, read_jsonl
from qibox.pool.one_by_one import rows_of_records
from qibox.pool.parquet import read_parquet
from qibox.pool.pictures import Pictures, open_pictures
from qibox.pool.published import read_mssbench, read_vlguard
from qibox.pool.rows import CheckedRows, Rows
from qibox.pool.taxonomy import mapping_of
from qibox.tables import POOL, SAMPLES

RECORD_READERS = {
    "jsonl": read_jsonl,
    "json": read_json_list,
    "csv": read_csv,
    "vlguard": read_vlguard,
    "mssbench": read_mssbench,
}
MINI_BATCH = 100


def resolve_pool(manifest: PoolManifest) -> PoolManifest:
    """Write out what the manifest leaves to be looked up: its parts, and hub commits.

    Raises:
        UsageError: a part that is not there or is itself combined, or a hub that does not answer.
    """
    from qibox.pool.hub import is_on_hub, pinned_revision

    if manifest.parts:
        parts = tuple(resolve_pool(part) for part in _parts(manifest))
        return manifest.model_copy(update={"parts": parts})
    if manifest.revision is None and is_on_hub(manifest):
        return manifest.model_copy(update={"revision": pinned_revision(manifest)})
    return manifest


def find_pool(manifest: PoolManifest) -> PoolManifest:
    """Return the manifest as :func:`resolve_pool` does, if there is something to read.

    Looks at the places that the manifest names and asks the hub for the commit, but reads no row.

    Raises:
        PoolNotFoundError: nothing is there; the message says how to obtain it.
    """
    from qibox.pool.hub import is_on_hub, pinned_revision

    for part in _parts(manifest) if manifest.parts else [manifest]:
        if not is_on_hub(part):
            _check_copy(part)
        elif part.revision is not None:
            pinned_revision(part)  # resolving asks the hub only for a commit that is not given
    return resolve_pool(manifest)


def read_pool(manifest: PoolManifest) -> Iterator[CheckedRows]:
    """Yield a pool's rows in their order, batch by batch.

    Raises:
        UsageError: the pool is not there, or lacks what its manifest names.
    """
    for part in _parts(manifest) if manifest.parts else [manifest]:
        if part.format == "mini":
            yield from _read_mini(part)
            continue
        if part.obtain is not None:
            _check_copy(part)
        checker = Checker(part, _pictures(part), mapping_of(part.taxonomy))
        for rows in _rows(part):
            yield from checker.check(rows)


def _parts(manifest: PoolManifest) -> list[PoolManifest]:
    parts = [
        load_manifest(PoolManifest, part) if isinstance(part, str) else part
        for part in manifest.parts
    ]
    for part in parts:
        if part.parts:
            raise UsageError(f"pool {manifest.name}: its part {part.name} is itself combined")
        if part.benchmark and not manifest.benchmark:
            raise UsageError(
                f"pool {manifest.name}: its part {part.name} is a benchmark, held out for "
                "evaluation: leave it out"
            )
    return parts


def _check_copy(manifest: PoolManifest) -> None:
    """Refuse a pool with nothing at the places it names, and say how to get it."""
    how = manifest.obtain or "give its manifest a path that exists"
    for place in (manifest.path, manifest.images):
        if place is not None:
            fs, path = fsspec.core.url_to_fs(place)
            if not fs.exists(path) and not fs.glob(path):
                raise PoolNotFoundError(f"pool {manifest.name}: nothing at {place}: {how}")


def _rows(manifest: PoolManifest) -> Iterator[Rows]:
    if manifest.format == "parquet":
        return read_parquet(manifest)
    if manifest.format == "datasets":
        from qibox.pool.hub import read_hub

        return read_hub(manifest)
    assert manifest.path is not None
    reader = RECORD_READERS[str(manifest.format)]
    origin = PurePosixPath(manifest.path).name
    return rows_of_records(reader(manifest.path, manifest.name), manifest, origin)


def _pictures(manifest: PoolManifest) -> Pictures | None:
    if manifest.images is not None:
        return open_pictures(manifest.images)
    if manifest.format == "datasets" and Path(str(manifest.path)).is_dir():
        return open_pictures(str(manifest.path))
    if manifest.format in RECORD_READERS and manifest.columns.image is not None:
        folder, slash, _ = str(manifest.path).rpartition("/")
        return open_pictures(folder + slash or ".")
    return None


def _read_mini(part: PoolManifest) -> Iterator[CheckedRows]:
    from qibox.mini.pool import SIZES, iter_samples

    split = next((name for name in SIZES if name == (part.split or "train")), None)
    if split is None:
        raise UsageError(
            f"pool {part.name}: the miniature world has no split '{part.split}', "
            f"only {', '.join(SIZES)}"
        )
    samples = iter_samples(split)
    start = 0
    while group := list(islice(samples, MINI_BATCH)):
        table = pa.Table.from_pylist(group, schema=SAMPLES)
        licenses = pa.repeat(pa.scalar(part.license, pa.string()), len(table))
        table = table.append_column(POOL.field("license"), licenses)
        yield checked_samples(table, start)
        start += len(group)
