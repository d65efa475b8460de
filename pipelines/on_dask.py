"""Beam's Dask runner as a run needs it.

Beam 2.77 knows that runner by its full name alone, puts 128 shards into one of Dask's partitions
unless it is told, sets a step up and takes it down for each partition, and leaves its client open.
So the short name is written out, there are as many partitions as shards, and what a worker has
loaded is kept until the turn is over (:mod:`qibox.pipelines.kept`), errors included.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from qibox.errors import UsageError
from qibox.pipelines import kept

FULL_NAME = "apache_beam.runners.dask.dask_runner.DaskRunner"
SHORT = ("dask", "daskrunner")


def name_in_full(options: PipelineOptions) -> None:
    """Write the runner's short name out.

    Raises:
        UsageError: it is asked for, and Dask is not installed.
    """
    runner = options.view_as(StandardOptions).runner
    if runner is None or runner.lower() not in (*SHORT, FULL_NAME.lower()):
        return
    if find_spec("distributed") is None:
        raise UsageError(
            f"runner {runner} needs Dask, which is not installed: pip install 'qibox[dask]'"
        )
    options.view_as(StandardOptions).runner = FULL_NAME


def is_dask(options: PipelineOptions) -> bool:
    """Whether the options name that runner."""
    return bool(options.view_as(StandardOptions).runner == FULL_NAME)


def divide(options: PipelineOptions, shards: int) -> None:
    """Ask for a partition for each shard, unless the options say how to divide."""
    from apache_beam.runners.dask.dask_runner import DaskOptions

    dask = options.view_as(DaskOptions)
    if dask.npartitions is None and dask.partition_size is None:
        dask.npartitions = max(1, shards)


@contextmanager
def let_go(result: Any, turn: str | None) -> Iterator[None]:
    """At the end, have the workers close what they loaded for a turn, and leave them.

    Without a ``turn`` the runner is another one, and nothing is to be done.
    """
    try:
        yield
    finally:
        if turn is not None:
            with result.client as client:
                if (
                    client.status == "running"
                ):  # else the scheduler is gone, and would be waited for
                    client.run(kept.close, turn, on_error="ignore")
