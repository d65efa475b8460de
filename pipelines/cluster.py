"""Dask clusters: one on this machine, and what starts one under SLURM or Kubernetes.

Each worker is a process with one thread, so that it holds one model, and has a GPU of its own where
there are any: it sees that one alone, and says so to Dask (:mod:`qibox.pipelines.on_dask`).
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import yaml

from qibox.errors import QiboxError, UsageError

GPU = "GPU"  # Dask's resource: what `dask worker --resources GPU=1` says that a worker has
PORT = 8786  # Dask's own
# After how long a cluster gives a worker up that was lost, and whoever starts it again: 15 s by
# default, in which a busy machine starts none.
LOST = "distributed.deploy.lost-worker-timeout"

SLURM = """\
# A Dask cluster of SLURM jobs, a worker each. On a login or head node, where qibox is installed:
#   pip install dask-jobqueue
#   python THIS_FILE
# Prints the end of the command line that scores on it, and lasts until Ctrl-C. Whoever reaches the
# scheduler's port runs code as you: where others use the network, give Dask certificates (TLS).
import threading

import dask
from dask_jobqueue import SLURMCluster

dask.config.set({{"{lost}": "10 minutes"}})  # a worker that died starts again meanwhile
cluster = SLURMCluster(
    cores=1,  # a thread, and so a model, a worker
    processes=1,
    job_cpu={cpus},
    memory="{memory}",
    walltime="24:00:00",
    # queue="gpu", account="...",  # your site's
    job_extra_directives={directives},
    worker_extra_args={arguments},
    job_script_prologue=["export HF_HUB_OFFLINE=1"],  # weights: a cache that all nodes mount
)
cluster.scale(jobs={workers})
print("-- --runner=DaskRunner --dask_client_address=" + cluster.scheduler_address, flush=True)
threading.Event().wait()
"""


@contextmanager
def local_cluster(workers: int, port: int, gpus: Sequence[str]) -> Iterator[str]:
    """A scheduler and worker processes on this machine, told of over loopback: its address.

    The first workers get one of ``gpus`` each, as CUDA_VISIBLE_DEVICES names them; the others none.

    Raises:
        UsageError: Dask is not installed.
        QiboxError: it could not be started: the port is taken, say.
    """
    try:
        import dask
        from distributed import Nanny, Scheduler, SpecCluster
    except ImportError as error:
        raise UsageError(
            "a Dask cluster needs Dask, which is not installed: pip install 'qibox[dask]'"
        ) from error
    options = {"host": "127.0.0.1", "port": port, "dashboard": False, "dashboard_address": None}
    start: Any = SpecCluster  # distributed leaves it untyped
    dask.config.set({LOST: "1 day"})  # each is started again by its nanny, which is in this process
    try:
        cluster = start(
            scheduler={"cls": Scheduler, "options": options},
            workers={
                number: {"cls": Nanny, "options": _worker(gpus[number : number + 1], bool(gpus))}
                for number in range(workers)
            },
            silence_logs=logging.WARNING,
        )
    except (OSError, RuntimeError) as error:
        raise QiboxError(f"no cluster could be started here: {error}") from error
    with cluster:
        yield str(cluster.scheduler_address)


def _worker(gpus: Sequence[str], some: bool) -> dict[str, Any]:
    """One worker's options: what it has of the machine's GPUs, if there are ``some``."""
    seen = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if some else {}
    resources = {GPU: len(gpus)} if gpus else {}
    return {
        "host": "127.0.0.1",
        "nthreads": 1,
        "dashboard": False,
        "env": seen,
        "resources": resources,
        "silence_logs": logging.WARNING,
        "memory_limit": 0,  # pictures and models take what they take
    }


def slurm_script(workers: int, gpus: int) -> str:
    """A script that starts a cluster of SLURM jobs with dask-jobqueue, ``gpus`` a worker."""
    return SLURM.format(
        lost=LOST,
        workers=workers,
        cpus=8,
        memory="64GB",
        directives=repr([f"--gres=gpu:{gpus}"] if gpus else []),
        arguments=repr(["--resources", f"{GPU}={gpus}"] if gpus else []),
    )


def kubernetes_manifest(workers: int, gpus: int, image: str) -> str:
    """A cluster as the Dask operator for Kubernetes takes it, ``gpus`` a worker."""
    worker = ["dask", "worker", "--name", "$(DASK_WORKER_NAME)", "--nthreads", "1"]
    limits: dict[str, Any] = {"memory": "64Gi", "cpu": "8"}
    if gpus:
        worker += ["--resources", f"{GPU}={gpus}"]
        limits["nvidia.com/gpu"] = gpus
    ports = {"tcp-comm": PORT, "http-dashboard": 8787}
    scheduler = {
        "name": "scheduler",
        "image": image,
        "args": ["dask", "scheduler"],
        "ports": [{"name": n, "containerPort": p, "protocol": "TCP"} for n, p in ports.items()],
        "readinessProbe": {"httpGet": {"port": "http-dashboard", "path": "/health"}},
    }
    service = {
        "type": "ClusterIP",  # within the cluster alone: who reaches it runs code
        "selector": {"dask.org/cluster-name": "qibox", "dask.org/component": "scheduler"},
        "ports": [
            {"name": n, "protocol": "TCP", "port": p, "targetPort": n} for n, p in ports.items()
        ],
    }
    container = {
        "name": "worker",
        "image": image,
        "args": worker,
        "resources": {"limits": limits},
        "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}],
        "envFrom": [{"secretRef": {"name": "qibox-storage", "optional": True}}],
    }
    cluster = {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": "qibox"},
        "spec": {
            "worker": {"replicas": workers, "spec": {"containers": [container]}},
            "scheduler": {"spec": {"containers": [scheduler]}, "service": service},
        },
    }
    return (
        "# For the Dask operator: kubectl apply -f THIS_FILE. Score from a pod of the same image:\n"
        f"# -- --runner=DaskRunner --dask_client_address=tcp://qibox-scheduler:{PORT}\n"
        "# The image has the same qibox[dask] as the launching side; the secret qibox-storage, if\n"
        "# there is one, the storage's credentials (AWS_ACCESS_KEY_ID, ...).\n"
        + yaml.safe_dump(cluster, sort_keys=False)
    )
