"""`qibox cluster`: a Dask cluster to score on."""

from typing import Any

import click


@click.command(short_help="Start a Dask cluster on this machine, to score on several workers.")
@click.argument("where", type=click.Choice(["local"]))
@click.option("--workers", type=click.IntRange(1, 256), default=2, show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.")
def command(where: str, workers: int, port: int) -> None:
    """Start a scheduler and worker processes on this machine, until Ctrl-C.

    Prints the end of the command line that scores on them. They listen to this machine alone: who
    reaches a Dask scheduler's port runs code as the person who started it.

    \b
    Example: qibox cluster local --workers 2
    """
    import threading

    from qibox.cli import console
    from qibox.errors import QiboxError, UsageError

    try:
        from distributed import LocalCluster
    except ImportError as error:
        raise UsageError(
            "a Dask cluster needs Dask, which is not installed: pip install 'qibox[dask]'"
        ) from error
    start: Any = LocalCluster  # distributed leaves it untyped
    try:
        cluster = start(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            scheduler_port=port,
            dashboard_address=None,
        )
    except (OSError, RuntimeError) as error:
        raise QiboxError(f"no cluster could be started here: {error}") from error
    with cluster:
        console.err.print(f"a scheduler and {workers} workers, until Ctrl-C; score on them with")
        address = cluster.scheduler_address
        click.echo(f"-- --runner=DaskRunner --dask_client_address={address}")
        threading.Event().wait()
