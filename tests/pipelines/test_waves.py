import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.portability import common_urns

from qibox.errors import UsageError
from qibox.manifests.panel import Accelerator
from qibox.pipelines.run import Settings, score_run
from qibox.pipelines.wave import build, parse_options, resource_hints
from qibox.run.directory import PoolIndex, Run, RunManifest
from qibox.run.storage import Storage
from qibox.scoring.plan import Job, make_plan
from qibox.scoring.turns import Turn
from tests.recordings import record, recorded

WORKER = f"{sys.executable} -m apache_beam.runners.worker.sdk_worker_main"


def test_hints_are_what_beam_understands() -> None:
    gpu = Accelerator(type="nvidia-h100-80gb", count=2, min_ram_gb=64)
    assert resource_hints(gpu) == {
        "accelerator": "type:nvidia-h100-80gb;count:2;install-nvidia-driver",
        "min_ram": "64.0GB",
    }
    assert resource_hints(Accelerator(min_ram_gb=1.5)) == {"min_ram": "1.5GB"}
    assert resource_hints(None) == {}


def with_accelerators(manifest: RunManifest, needs: dict[str, Accelerator]) -> RunManifest:
    models = {
        name: spec.model_copy(update={"accelerator": needs.get(name)})
        for name, spec in manifest.panel.models.items()
    }
    panel = manifest.panel.model_copy(update={"models": models})
    return manifest.model_copy(update={"panel": panel})


def test_the_graph_carries_each_models_needs(tmp_path: Path) -> None:
    needs = {"ada": Accelerator(type="nvidia-l4"), "bay": Accelerator(count=4, type="nvidia-a100")}
    manifest = with_accelerators(recorded(record(tmp_path / "data")), needs)
    run = Run(Storage(tmp_path / "run"), manifest)
    index = PoolIndex(keys=("a", "b"), sizes=(5, 5), read=10, rejected=0, duplicates=0)
    found = {}
    for wave in make_plan(Job(run, index)).waves:
        pipeline = beam.Pipeline()
        build(pipeline, run.storage.url, Turn((wave,)))
        proto = pipeline.to_runner_api()
        steps = [t for t in proto.components.transforms.values() if t.unique_name == wave.name]
        (step,) = [s for s in steps if s.environment_id]
        hints = proto.components.environments[step.environment_id].resource_hints
        found[wave.name] = hints.get(common_urns.resource_hints.ACCELERATOR.urn)
    assert found == {
        "responses-ada": b"type:nvidia-l4;count:1;install-nvidia-driver",
        "responses-bay": b"type:nvidia-a100;count:4;install-nvidia-driver",
        "responses-cid": None,
        "judgments-hash": None,
        "scores": None,
    }


def test_beams_options_are_checked() -> None:
    assert parse_options(["--direct_num_workers=3"]).get_all_options()["direct_num_workers"] == 3
    with pytest.raises(UsageError, match="knows no option colour"):
        parse_options(["--colour=red"])
    with pytest.raises(UsageError, match="invalid choice: 'red'"):
        parse_options(["--direct_running_mode=red"])
    parse_options(["--runner=PortableRunner", "--colour=red"])  # a runner may have its own


class Watching:
    """Remembers which processes reported in each wave."""

    def __init__(self) -> None:
        self.reporters = 0

    @contextmanager
    def reading(self) -> Iterator[object]:
        yield lambda rows: None

    @contextmanager
    def turn(self, storage: Storage, turn: Turn) -> Iterator[None]:
        yield
        self.reporters += len(storage.files(f"progress/{turn.waves[0].name}"))

    def remark(self, text: str) -> None:
        raise AssertionError(text)


@pytest.fixture
def job_server(tmp_path: Path) -> Iterator[int]:
    """Beam's own portable job server, in another process and another working directory."""
    port = tmp_path / "port"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-P", "-m", "apache_beam.runners.portability.local_job_service_main"]
    server = subprocess.Popen(
        [*command, "--port_file", str(port)],
        cwd=elsewhere,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (port.exists() and port.read_text()):
            assert server.poll() is None, "the job server ended"
            time.sleep(0.05)
        yield int(port.read_text())
    finally:
        server.terminate()
        server.wait()


def test_the_portable_runner_works_in_other_processes(
    tmp_path: Path, job_server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    manifest = recorded(record(Path("data"), 7, models=["ada", "bay"]))
    assert manifest.panel.models["ada"].source == "data/responses"
    watcher = Watching()
    options = [
        "--runner=PortableRunner",
        f"--job_endpoint=localhost:{job_server}",
        "--environment_type=beam:env:harness_subprocess_python:v1",
        f"--environment_config={WORKER}",
    ]
    there = score_run("there", manifest, watcher, Settings(beam_options=options))
    here = score_run("here", manifest, Watching())
    assert there == here
    assert there.scored == 7
    for name in Storage("here").files(""):
        if name.endswith(".parquet"):
            assert Storage("there").read_table(name).equals(Storage("here").read_table(name)), name
