"""`qibox cluster`: a Dask cluster to score on."""

import click

ON_THIS_MACHINE, BY_SLURM, BY_KUBERNETES = "local", "slurm", "kubernetes"


@click.command(short_help="Start a Dask cluster here, or print what starts one elsewhere.")
@click.argument("where", type=click.Choice([ON_THIS_MACHINE, BY_SLURM, BY_KUBERNETES]))
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="How many. [default: on this machine one for each GPU, or 2; elsewhere 8]",
)
@click.option(
    "--gpus",
    type=click.IntRange(0, 8),
    default=1,
    show_default=True,
    help="GPUs of a worker, for slurm and kubernetes; on this machine each gets one while there "
    "are any.",
)
@click.option("--image", default="IMAGE", help="For kubernetes: a container image with qibox.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="On this machine; 0 takes a free one."
)
def command(where: str, workers: int | None, gpus: int, image: str, port: int) -> None:
    """Start a scheduler and workers on this machine, until Ctrl-C, or print what starts them.

    local prints the end of the command line that scores on them. They listen to this machine alone:
    who reaches a Dask scheduler's port runs code as the person who started it.
    slurm prints a script for dask-jobqueue, kubernetes a manifest for Dask's operator.

    \b
    Example: qibox cluster local --workers 2
    """
    from qibox.pipelines import cluster

    if where == BY_SLURM:
        click.echo(cluster.slurm_script(workers or 8, gpus), nl=False)
    elif where == BY_KUBERNETES:
        click.echo(cluster.kubernetes_manifest(workers or 8, gpus, image), nl=False)
    else:
        _start(workers, port)


def _start(workers: int | None, port: int) -> None:
    import threading

    from qibox.cli import console
    from qibox.engines.load import visible_gpus
    from qibox.pipelines.cluster import local_cluster

    gpus = visible_gpus()
    count = workers or len(gpus) or 2
    with local_cluster(count, port, gpus) as address:
        console.err.print(f"a scheduler and {count} workers, until Ctrl-C; score on them with")
        click.echo(f"-- --runner=DaskRunner --dask_client_address={address}")
        threading.Event().wait()
