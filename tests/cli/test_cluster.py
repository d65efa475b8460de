"""What `qibox cluster` prints for clusters elsewhere; one here is in pipelines/test_dask.py."""

import ast

import pytest
import yaml

from tests.commands import qibox


def test_the_script_for_slurm_asks_for_workers_with_gpus() -> None:
    done = qibox("cluster", "slurm", "--workers", 3, "--gpus", 2)
    assert done.status == 0
    calls = {
        ast.unparse(node.func): {word.arg: word.value for word in node.keywords}
        for node in ast.walk(ast.parse(done.stdout))
        if isinstance(node, ast.Call)
    }
    asked = calls["SLURMCluster"]
    assert ast.literal_eval(asked["job_extra_directives"]) == ["--gres=gpu:2"]
    assert ast.literal_eval(asked["worker_extra_args"]) == ["--resources", "GPU=2"]
    assert ast.literal_eval(asked["cores"]) == 1  # a model a worker
    assert ast.literal_eval(calls["cluster.scale"]["jobs"]) == 3


@pytest.mark.parametrize("gpus", [0, 2])
def test_the_manifest_for_kubernetes_is_one_for_the_operator(gpus: int) -> None:
    done = qibox("cluster", "kubernetes", "--workers", 3, "--gpus", gpus, "--image", "a/b:1")
    assert done.status == 0
    found = yaml.safe_load(done.stdout)
    assert (found["apiVersion"], found["kind"]) == ("kubernetes.dask.org/v1", "DaskCluster")
    workers, scheduler = found["spec"]["worker"], found["spec"]["scheduler"]
    (worker,) = workers["spec"]["containers"]
    assert (workers["replicas"], worker["image"]) == (3, "a/b:1")
    assert worker["resources"]["limits"].get("nvidia.com/gpu", 0) == gpus
    assert ("GPU=2" in worker["args"]) == (gpus == 2)
    assert scheduler["service"]["type"] == "ClusterIP"  # within the cluster alone
    name = found["metadata"]["name"]
    assert f"--dask_client_address=tcp://{name}-scheduler:8786" in done.stdout
