"""All waves on a real Dask cluster: its scheduler and workers are processes, told of over loopback.

Each worker does one unit at a time.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from qibox.manifests.settings import OpenAISettings
from qibox.run.storage import Storage
from tests.commands import Done, qibox
from tests.endpoint import GRM, Endpoint, serving, write_endpoint
from tests.forked import Forked
from tests.pipelines.killing import forked_qibox, rows_of, rows_of_tables
from tests.recordings import record

pytest.importorskip(
    "distributed", reason="DASK IS NOT INSTALLED: pip install 'qibox[dask]' adds it"
)
from tests.pipelines.dask_cluster import PATIENCE_S, Cluster, shards_of, wait_until

SAMPLES, SHARD = 12, 2
ONCE = {1: SAMPLES + SAMPLES * 2}  # each sample, and K = 2 responses to each


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("bin"))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with serving() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, endpoint: Endpoint) -> Path:
    """A pool of six shards; a panel of one model and a judge that are asked at the endpoint."""
    data = record(tmp_path_factory.mktemp("data"), SAMPLES, shard_size=SHARD)
    write_endpoint(data, endpoint.url, models=["ada"])
    return data


def words(data: Path, out: object, *more: object, on: Cluster | None = None) -> tuple[object, ...]:
    asked = ("--panel", data / "asked.yaml", "--judge", data / "grm.yaml")
    words = ("score", "--pool", data / "pool.yaml", "--out", out, "-q", *(more or asked))
    return (*words, *(on.options if on else ()))


Ask = Callable[..., Forked]


@pytest.fixture
def ask(cluster: Cluster, data: Path, endpoint: Endpoint) -> Iterator[Ask]:
    """Starts a command at work on the cluster."""
    started: list[Forked] = []

    def ask(out: Path, *more: object) -> Forked:
        started.append(forked_qibox(*words(data, out, *more, on=cluster)))
        return started[-1]

    yield ask
    endpoint.release()
    for process in started:
        process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def here(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on this machine alone."""
    out = tmp_path_factory.mktemp("run") / "here"
    assert qibox(*words(data, out)) == Done(0, "", "")
    return out


def times_asked(endpoint: Endpoint) -> Counter[int]:
    """How many prompts were asked how often."""
    asked = Counter(endpoint.take_asked("ada")) + Counter(endpoint.take_asked(GRM))
    return Counter(asked.values())


def test_what_is_held_outlasts_what_is_waited_for(data: Path) -> None:
    """Else a worker that comes late makes failed rows of what another one was held at."""
    panel = yaml.safe_load((data / "asked.yaml").read_text())
    settings = OpenAISettings.model_validate(panel["models"]["ada"]["settings"])
    assert min(settings.request_timeout_s, settings.deadline_s) > 2 * PATIENCE_S


def test_recorded_responses_are_judged_and_scored_as_on_one_machine(
    cluster: Cluster, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But no process is started beside: this machine's cores are not those that work."""
    started: list[str] = []
    monkeypatch.setattr("qibox.pipelines.run.MUCH", 0)
    monkeypatch.setattr("qibox.pipelines.run.most_beside", lambda: started.append("a process") or 0)
    recorded = ("--panel", data / "panel.yaml", "--judge", "hash")
    assert qibox(*words(data, tmp_path / "here", *recorded)) == Done(0, "", "")
    assert started == ["a process"]
    assert qibox(*words(data, tmp_path / "there", *recorded, on=cluster)) == Done(0, "", "")
    assert started == ["a process"]
    assert rows_of_tables(tmp_path / "there") == rows_of_tables(tmp_path / "here")
    assert not Storage(tmp_path / "there").files("progress")


def test_both_workers_are_at_it_each_unit_is_done_once_and_status_tells_of_it(
    cluster: Cluster, here: Path, endpoint: Endpoint, ask: Ask, tmp_path: Path
) -> None:
    times_asked(endpoint)
    endpoint.hold(GRM)
    out = tmp_path / "there"
    started = ask(out)
    wait_until(lambda: len(endpoint.waiting) == 2 * SHARD * 2)  # K is 2
    assert len(shards_of(endpoint.waiting, SHARD)) == 2
    status = qibox("status", out)
    assert "being scored by process" in status.stderr
    assert "responses │   24 │   24" in status.stdout
    assert "judgments │   24 │    0 │      0 │    24" in status.stdout
    endpoint.release()
    assert started.communicate() == (None, b"")
    assert started.returncode == 0
    assert rows_of_tables(out) == rows_of_tables(here)
    assert times_asked(endpoint) == ONCE


def test_workers_that_are_killed_in_each_wave_cost_what_they_had_in_hand(
    cluster: Cluster, here: Path, endpoint: Endpoint, ask: Ask, tmp_path: Path
) -> None:
    times_asked(endpoint)
    out = tmp_path / "there"
    endpoint.hold("ada")
    started = ask(out)
    wait_until(lambda: len(endpoint.waiting) == 2 * SHARD)  # of both workers
    cluster.kill_worker()
    endpoint.hold(GRM)
    endpoint.let_go.set()
    wait_until(lambda: len(endpoint.waiting) >= 2 * SHARD * 2)
    cluster.kill_worker()
    endpoint.release()
    _, said = started.communicate()
    assert started.returncode == 0, said
    assert rows_of_tables(out) == rows_of_tables(here)
    again = times_asked(endpoint)
    assert again[2] <= SHARD + SHARD * 2  # what the two killed ones had in hand
    assert set(again) <= {1, 2}


def test_a_worker_that_hangs_and_is_killed_in_a_wave_of_scores(
    cluster: Cluster, data: Path, here: Path, ask: Ask, tmp_path: Path
) -> None:
    out = tmp_path / "there"
    assert qibox(*words(data, out)) == Done(0, "", "")
    scores = out / "scores"
    for file in scores.iterdir():
        file.unlink()
    stopped = next(iter(cluster.workers().values()))
    os.kill(stopped, signal.SIGSTOP)
    started = ask(out)
    wait_until(lambda: scores.exists() and any(scores.glob("shard-*")))
    assert started.poll() is None
    os.kill(stopped, signal.SIGKILL)
    _, said = started.communicate()
    assert started.returncode == 0, said
    assert rows_of_tables(out) == rows_of_tables(here)


def test_the_same_command_goes_on_after_its_process_was_killed(
    cluster: Cluster, data: Path, here: Path, endpoint: Endpoint, ask: Ask, tmp_path: Path
) -> None:
    times_asked(endpoint)
    out = tmp_path / "there"
    endpoint.hold("ada")
    started = ask(out)
    wait_until(lambda: len(endpoint.waiting) == 2 * SHARD)
    started.send_signal(signal.SIGKILL)
    started.wait()
    wait_until(lambda: not cluster.queued())  # they are told that nobody wants it any more
    endpoint.release()
    wait_until(lambda: len(Storage(out).files("responses")) == 2)  # the workers end what they began
    done = qibox(*words(data, out, on=cluster))
    assert done == Done(0, "", ""), done.stderr
    assert rows_of_tables(out) == rows_of_tables(here)
    assert times_asked(endpoint) == ONCE


def test_the_same_command_goes_on_after_the_cluster_was_killed(
    cluster: Cluster, data: Path, here: Path, endpoint: Endpoint, ask: Ask, tmp_path: Path
) -> None:
    out = tmp_path / "there"
    endpoint.hold(GRM)
    started = ask(out)
    wait_until(lambda: len(endpoint.waiting) == 2 * SHARD * 2)
    cluster.kill()
    cluster.start()  # at once: nobody must take what was lost for done
    _, said = started.communicate()
    endpoint.release()
    assert started.returncode == 1
    assert b"the connection to Dask's scheduler was lost" in said
    assert said.count(b"\n") == 1
    times_asked(endpoint)
    done = qibox(*words(data, out, on=cluster))
    assert done == Done(0, "", ""), done.stderr
    assert rows_of_tables(out) == rows_of_tables(here)
    asked = times_asked(endpoint)  # what the killed ones had in hand may count only now
    assert asked.total() == SAMPLES * 2  # verdicts alone
    assert asked[2] <= 2 * SHARD * 2


def test_a_run_that_workers_cannot_see_is_told_of(
    cluster: Cluster, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its path leads each process to a directory of its own."""
    monkeypatch.chdir(tmp_path)
    done = qibox(*words(data, "/proc/self/cwd/run", on=cluster))
    assert done.status == 1
    assert "does not see the run at /proc/self/cwd/run" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (cluster.folder / "run").exists()


def test_a_model_that_needs_a_gpu_goes_to_the_worker_that_has_one(
    cluster: Cluster, data: Path, endpoint: Endpoint, ask: Ask, tmp_path: Path
) -> None:
    panel = yaml.safe_load((data / "asked.yaml").read_text())
    panel["models"]["ada"]["accelerator"] = {"type": "a-gpu"}
    (tmp_path / "gpu.yaml").write_text(yaml.safe_dump(panel))
    with cluster.client() as client:
        seen = client.run(lambda: os.environ.get("CUDA_VISIBLE_DEVICES"))
        (with_gpu,) = [worker for worker, gpus in seen.items() if gpus == "0"]
    endpoint.hold("ada")
    gpu = ("--panel", tmp_path / "gpu.yaml", "--judge", "hash")
    started = ask(tmp_path / "run", *gpu)
    wait_until(lambda: len(endpoint.waiting) == SHARD)
    with cluster.client() as client:
        placed = {worker: len(keys) for worker, keys in client.processing().items()}
    assert {worker for worker, count in placed.items() if count} == {with_gpu}
    endpoint.release()
    _, said = started.communicate()
    assert started.returncode == 0, said
    panel["models"]["ada"]["accelerator"]["count"] = 2
    (tmp_path / "gpu.yaml").write_text(yaml.safe_dump(panel))
    refused = qibox(*words(data, tmp_path / "other", *gpu, on=cluster))
    assert refused.status == 1
    assert "responses-ada needs 2 GPU of a worker" in refused.stderr


def test_an_engine_that_dies_on_a_worker_costs_rows_with_reasons(
    cluster: Cluster, ask: Ask, tmp_path: Path
) -> None:
    data = record(tmp_path / "data", 80, shard_size=SHARD)
    settings = {"retries": 0, "max_restarts": 0}
    model = {"source": "builtin:agreeable", "engine": "transformers", "settings": settings}
    panel = {
        "name": "one",
        "about": "a model",
        "models": {"one": model},
        "sampling": {"samples": 2},
    }
    (data / "one.yaml").write_text(yaml.safe_dump(panel))
    out = tmp_path / "run"
    more = ("--max-reject-rate", 1, "--pool", data / "pool.yaml")
    started = ask(out, "--panel", data / "one.yaml", "--judge", "hash", *more)
    wait_until(lambda: bool(Storage(out).files("responses")))
    cluster.kill_engines()
    _, said = started.communicate()
    assert started.returncode == 0, said
    answered = rows_of(out, "responses")
    assert len(answered) == 80 * 2
    reasons = {row["reason"] for row in answered if row["text"] is None}
    assert "engine process died (signal SIGKILL)" in reasons
    assert all(reason.startswith("engine process died") for reason in reasons)
    assert any(row["text"] is not None for row in answered)
