"""Beam's Dask runner as a run needs it.

Beam 2.77 knows that runner by its full name alone, puts 128 shards into one of Dask's partitions
unless it is told, sets a step up and takes it down for each partition, and leaves its client open.
So the short name is written out, there are as many partitions as shards, and what a worker has
loaded is kept until the turn is over (:mod:`qibox.pipelines.kept`), errors included. It takes no
notice of resource hints: a model's GPUs are asked for as Dask's resource of that name.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from qibox.errors import QiboxError, UsageError
from qibox.manifests.panel import Accelerator
from qibox.pipelines import kept
from qibox.pipelines.cluster import GPU
from qibox.scoring.turns import Turn

FULL_NAME = "apache_beam.runners.dask.dask_runner.DaskRunner"
CLOSE_S = 2.0  # seconds that a scheduler has to say good-bye
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
    from apache_beam.runners.dask.dask_runner import (
        DaskOptions,
    )  # sets the loggers of Dask's client

    logging.getLogger("distributed.client").setLevel(
        logging.CRITICAL
    )  # we tell of a lost scheduler

    dask = options.view_as(DaskOptions)
    if dask.npartitions is None and dask.partition_size is None:
        dask.npartitions = max(1, shards)


def gpus_of(accelerator: Accelerator | None) -> int:
    """How many GPUs of one worker a model needs."""
    return accelerator.count if accelerator is not None and accelerator.type is not None else 0


@contextmanager
def placed(accelerator: Accelerator | None) -> Iterator[None]:
    """Have what is sent to the cluster go to workers that have the GPUs, to each as they are free.

    One thread a worker and one model at a time: no two models share a GPU.
    """
    from dask.base import annotate

    count = gpus_of(accelerator)
    with annotate(**({"resources": {GPU: count}} if count else {})):
        yield


def check_workers(client: Any, turn: Turn) -> None:
    """Refuse a cluster none of whose workers could ever do a turn; one still without any may grow.

    Raises:
        QiboxError: names the model's wave, what it needs and how a worker says that it has it.
    """
    count = gpus_of(turn.accelerator)
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if workers and all(worker["resources"].get(GPU, 0) < count for worker in workers):
        raise QiboxError(
            f"{turn.name} needs {count} GPU of a worker (its manifest's accelerator), and none of "
            f"the cluster's {len(workers)} workers says that it has as many: start those that do "
            f"with `dask worker --nthreads 1 --resources {GPU}={count}`, or leave accelerator out "
            "where every worker fits"
        )


def wait(result: Any, turn: Turn) -> None:
    """Wait until a turn is done.

    Raises:
        QiboxError: no worker could do it, or the scheduler is gone: Beam takes its work for done.
        Exception: what a step raised.
    """
    check_workers(result.client, turn)
    result.wait_until_finish()
    if any(future.cancelled() for future in result.futures):
        raise QiboxError(
            "the connection to Dask's scheduler was lost: what was finished is kept, and the same "
            "command goes on once there is one"
        )


@contextmanager
def let_go(result: Any, turn: str | None) -> Iterator[None]:
    """At the end, have the workers close what they loaded for a turn, and leave them.

    Without a ``turn`` the runner is another one, and nothing is to be done.
    """
    try:
        yield
    finally:
        if turn is not None:
            if result.client.status == "running":  # else the scheduler is gone: it is not awaited
                result.client.run(kept.close, turn, on_error="ignore")
            result.client.close(timeout=CLOSE_S)
