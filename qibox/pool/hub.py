"""Reads a `datasets` repository, from the hub or a local directory, streamed.

Reads with ``datasets.load_dataset(…, streaming=True)`` at a pinned revision; images stay encoded.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from qibox.errors import PoolNotFoundError, UsageError
from qibox.manifests.pool import PoolManifest
from qibox.pool.columns import check_columns, rows_of_table, wanted_columns
from qibox.pool.rows import BATCH_ROWS, Rows

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


def features_of(stream: Any) -> dict[str, Any]:
    """A stream's columns by name, looked up in its first rows where none are declared."""
    return dict(stream.features or stream._resolve_features().features)


def _tables(manifest: PoolManifest, name: str | None) -> Iterator[pa.Table]:
    import datasets

    stream = stream_of(manifest, name)
    features = features_of(stream)
    check_columns(manifest, [*features, CONFIG], str(manifest.path))
    wanted = [column for column in wanted_columns(manifest) if column in features]
    stream = stream.select_columns(wanted)
    for column in wanted:
        if isinstance(features[column], datasets.Image):
            stream = stream.cast_column(column, datasets.Image(decode=False))
    labels = {c: features[c] for c in wanted if isinstance(features[c], datasets.ClassLabel)}
    try:
        for table in stream.with_format("arrow").iter(batch_size=BATCH):
            yield _with_names(table, labels)
    except Exception as error:  # a cut connection or a damaged file, in many libraries' words
        raise _unreachable(manifest, error) from error


def _with_names(table: pa.Table, labels: dict[str, Any]) -> pa.Table:
    """Class numbers as the names that the repository gives them."""
    for column, label in labels.items():
        names = [None if v is None else label.int2str(v) for v in table[column].to_pylist()]
        at = table.column_names.index(column)
        table = table.set_column(at, column, pa.array(names, pa.string()))
    return table


def _unreachable(manifest: PoolManifest, error: Exception) -> UsageError:
    words = " ".join(str(error).split())[:300]
    return UsageError(
        f"pool {manifest.name}: dataset '{manifest.path}' cannot be read ({words}): check `path`, "
        "`config`, `split` and `revision`, or give a downloaded copy's directory as `path`"
    )
