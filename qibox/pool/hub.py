"""Reads a `datasets` repository, from the hub or a local directory, streamed.

Reads with ``datasets.load_dataset(…, streaming=True)`` at a pinned revision; images stay encoded.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from qibox.errors import PoolNotFoundError, UsageError
from qibox.manifests.pool import PoolManifest
from qibox.pool.columns import check_columns, rows_of_table, wanted_columns
from qibox.pool.labels import with_names
from qibox.pool.rows import BATCH_ROWS, Rows, whole

ALL = "*"
CONFIG = "config"  # stands for the configuration's name where the data have no such column
SAVED = ("state.json", "dataset_dict.json")  # of a directory that save_to_disk wrote
BATCH = BATCH_ROWS // 10  # the library gives no sizes ahead, and hub images reach a megabyte


def is_on_hub(manifest: PoolManifest) -> bool:
    """Whether the pool is a hub repository, not a directory of this machine."""
    return manifest.format == "datasets" and not Path(manifest.path or "").exists()


def pinned_revision(manifest: PoolManifest) -> str:
    """The commit that a hub repository's branch or tag stands at now.

    Raises:
        PoolNotFoundError: the hub does not answer, or has no such repository.
    """
    from huggingface_hub import HfApi

    try:
        commit = HfApi().dataset_info(str(manifest.path), revision=manifest.revision).sha
    except Exception as error:  # the client raises its own, the HTTP library's and the system's
        raise PoolNotFoundError(
            f"{_unreachable(manifest, error)}: hf download {manifest.path} --repo-type dataset "
            f"--local-dir {manifest.path}"
        ) from error
    return str(commit)


def read_hub(manifest: PoolManifest) -> Iterator[Rows]:
    """Yield the rows of all the repository's configurations that the manifest names.

    Raises:
        UsageError: no such repository, configuration or split, or not the manifest's columns.
    """
    start = 0
    for name in _configurations(manifest):
        for table in _tables(manifest, name):
            if CONFIG in wanted_columns(manifest) and CONFIG not in table.column_names:
                table = table.append_column(CONFIG, pa.repeat(name or "", table.num_rows))
            yield rows_of_table(table, start, manifest, str(manifest.path))
            start += table.num_rows


def _configurations(manifest: PoolManifest) -> list[str | None]:
    import datasets

    if manifest.config != (ALL,):
        return list(manifest.config) or [None]
    try:
        names = datasets.get_dataset_config_names(manifest.path, revision=manifest.revision)
    except Exception as error:  # whatever the hub's client or a malformed repository raises
        raise _unreachable(manifest, error) from error
    return sorted(names)


def stream_of(manifest: PoolManifest, name: str | None) -> Any:
    """The datasets library's stream over one configuration.

    Raises:
        UsageError: no such repository, configuration or split.
    """
    import datasets

    path, split = str(manifest.path), manifest.split or "train"
    try:
        if any((Path(path) / file).exists() for file in SAVED):
            saved = datasets.load_from_disk(path)
            chosen = saved[split] if isinstance(saved, datasets.DatasetDict) else saved
            return chosen.to_iterable_dataset()
        return datasets.load_dataset(
            path, name=name, split=split, revision=manifest.revision, streaming=True
        )
    except Exception as error:  # whatever the hub's client or a malformed repository raises
        raise _unreachable(manifest, error) from error


def features_of(stream: Any, manifest: PoolManifest) -> dict[str, Any]:
    """A stream's columns by name, looked up in its first rows where none are declared.

    Raises:
        UsageError: those rows cannot be read.
    """
    try:
        return dict(stream.features or stream._resolve_features().features)
    except Exception as error:  # a file that is damaged or of another kind, in many words
        raise _unreachable(manifest, error) from error


def _tables(manifest: PoolManifest, name: str | None) -> Iterator[pa.Table]:
    import datasets

    stream = stream_of(manifest, name)
    features = features_of(stream, manifest)
    check_columns(manifest, [*features, CONFIG], str(manifest.path))
    wanted = [column for column in wanted_columns(manifest) if column in features]
    stream = stream.select_columns(wanted)
    for column in wanted:
        if isinstance(features[column], datasets.Image):
            stream = stream.cast_column(column, datasets.Image(decode=False))
    labels = {c: features[c].names for c in wanted if isinstance(features[c], datasets.ClassLabel)}
    pictures = [c for c in wanted if isinstance(features[c], datasets.Image)]
    try:
        for table in stream.with_format("arrow").iter(batch_size=BATCH):
            yield _with_own_paths(with_names(table, labels), pictures, str(manifest.path))
    except Exception as error:  # a cut connection or a damaged file, in many libraries' words
        raise _unreachable(manifest, error) from error


def _with_own_paths(table: pa.Table, pictures: list[str], folder: str) -> pa.Table:
    """Pictures that lie in the directory itself by their paths below it; others stay as told."""
    if not Path(folder).is_dir():
        return table
    start = f"^{re.escape(str(Path(folder).resolve()))}/"
    for column in pictures:
        image = whole(table[column])
        if not pa.types.is_struct(image.type):
            continue
        path = pc.replace_substring_regex(pc.struct_field(image, "path"), start, "")
        parts = [pc.struct_field(image, "bytes"), path]
        struct = pa.StructArray.from_arrays(parts, ["bytes", "path"], mask=image.is_null())
        table = table.set_column(table.column_names.index(column), column, struct)
    return table


def _unreachable(manifest: PoolManifest, error: Exception) -> UsageError:
    cause = error.__cause__ or error  # the library's own words for it come last
    words = " ".join(f"{error} {cause if cause is not error else ''}".split())[:300]
    local = Path(str(manifest.path)).is_dir()
    if local:
        return UsageError(
            f"pool {manifest.name}: a file of the directory {manifest.path} cannot be read "
            f"({words}): mend it or move it away, or name one file as the pool",
            fields=["pool"],
        )
    return UsageError(
        f"pool {manifest.name}: dataset '{manifest.path}' cannot be read ({words}): check `path`, "
        "`config`, `split` and `revision`, or give a downloaded copy's directory as `path`"
    )
