"""A run on an S3-compatible store, by the commands that a person types; requests are counted."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from qibox.run.storage import Storage
from tests.commands import Done, qibox
from tests.endpoint import GRM, Endpoint, serving, write_endpoint
from tests.object_store import Store, kinds, storing
from tests.pipelines.killing import forked_qibox, rows_of_tables
from tests.recordings import MODELS, record

SHARDS, SHARD = 24, 2
KEPT = 10  # shards of the recorded run
LIGHT = KEPT * (2 * len(MODELS) + 1)  # units of recorded responses, their judgments and scores
ASKED = SHARDS * 3  # of one model, a judge and the scores
INPUTS = SHARDS * (1 + 2 + 2)  # what these are made of: the pool, and the table before
FIXED = 40  # requests of a run as such, at most: its manifest, its lease, its listings


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with storing() as store:
        yield store


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with serving() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, endpoint: Endpoint) -> Path:
    data = record(tmp_path_factory.mktemp("data"), SHARDS * SHARD, shard_size=SHARD)
    write_endpoint(data, endpoint.url, models=["ada"])
    return data


def recorded(data: Path, out: object) -> tuple[object, ...]:
    manifests = ("--pool", data / "pool.yaml", "--panel", data / "panel.yaml")
    limit = ("--limit", KEPT * SHARD)
    return ("score", *manifests, *limit, "--judge", "hash", "--out", out, "-q")


def asked(data: Path, out: object) -> tuple[object, ...]:
    manifests = ("--pool", data / "pool.yaml", "--panel", data / "asked.yaml")
    return ("score", *manifests, "--judge", data / "grm.yaml", "--out", out, "-q")


Requests = list[tuple[str, str, str]]


@pytest.fixture(scope="module")
def run(store: Store, data: Path) -> tuple[str, Requests]:
    """A run of recorded responses, and what it asked the store."""
    store.take()
    assert qibox(*recorded(data, "s3://bucket/recorded")) == Done(0, "", "")
    return "s3://bucket/recorded", of_work(store.take())


def of_work(requests: Requests) -> Requests:
    """Without those that come with the time: the lease's renewals and workers' reports."""
    return [
        (method, path, query)
        for method, path, query in requests
        if method != "PUT" or not (path.endswith("/.lock") or "/progress/" in path)
    ]


def puts(requests: Requests) -> Counter[str]:
    """How often each of a run's tables was put."""
    return Counter(p for method, p, _ in requests if method == "PUT" and p.endswith(".parquet"))


def test_a_file_is_put_once_and_a_unit_costs_few_requests(
    run: tuple[str, Requests], data: Path, tmp_path: Path
) -> None:
    """A shard of recorded responses is made in one go: no table is read but the pool's."""
    out, requests = run
    assert qibox(*recorded(data, tmp_path / "here")) == Done(0, "", "")
    assert rows_of_tables(out) == rows_of_tables(tmp_path / "here")
    assert len(requests) <= 3 * LIGHT  # the run's own and the inputs' with them
    assert set(puts(requests).values()) == {1}
    assert len(puts(requests)) == LIGHT + KEPT  # and the pool's


def test_what_is_done_costs_a_listing_and_a_footer_each(
    run: tuple[str, Requests], store: Store, data: Path
) -> None:
    """By a process that knows nothing of the run."""
    out, _ = run
    store.take()
    assert qibox(*recorded(data, out)) == Done(0, "", "")
    assert len(of_work(store.take())) <= FIXED  # and no footer: in this process all are known
    again = forked_qibox(*recorded(data, out))
    assert again.communicate() == (None, b"")
    counted = kinds(found := of_work(store.take()))
    read = Counter(path for _, path, _ in found if path.endswith(".parquet"))
    assert len(read) == LIGHT
    assert set(read.values()) == {1}
    assert len(found) - LIGHT <= FIXED
    assert counted["LIST"] <= 12
    assert counted["HEAD"] <= 10
    assert counted["PUT"] == 0


@pytest.fixture(scope="module")
def unbroken(store: Store, data: Path) -> tuple[str, Requests]:
    """A run of one model that is asked and a judge that is, and what it asked the store."""
    store.take()
    assert qibox(*asked(data, "s3://bucket/unbroken")) == Done(0, "", "")
    return "s3://bucket/unbroken", of_work(store.take())


def test_a_models_unit_reads_each_table_it_is_made_of_once(
    unbroken: tuple[str, Requests],
) -> None:
    _, requests = unbroken
    assert len(requests) <= 8 * ASKED
    assert len(requests) - INPUTS <= 4 * ASKED
    assert set(puts(requests).values()) == {1}


def test_killed_while_a_model_answers_the_same_command_goes_on(
    store: Store, data: Path, endpoint: Endpoint, unbroken: tuple[str, Requests]
) -> None:
    out = "s3://bucket/asked"
    endpoint.take_asked("ada"), endpoint.take_asked(GRM)
    started = forked_qibox(*asked(data, out))
    while len(Storage(out).files("responses")) < 2:
        assert started.poll() is None
        time.sleep(0.05)
    endpoint.hold("ada")
    while not endpoint.waiting:
        time.sleep(0.05)
    started.send_signal(signal.SIGKILL)
    started.wait()
    endpoint.release()
    kept = Storage(out).files("responses")
    assert 0 < len(kept) < SHARDS
    status = qibox("status", out)
    assert status.status == 0
    assert f"{SHARDS * SHARD} rows in = 0 scored" in status.stdout
    store.take()
    assert qibox(*asked(data, out)) == Done(0, "", "")
    requests = of_work(store.take())
    assert not {*kept} & {path.removeprefix("asked/") for path in puts(requests)}
    assert rows_of_tables(out) == rows_of_tables(unbroken[0])
    units, inputs = ASKED - len(kept), INPUTS - len(kept)
    assert len(requests) <= 8 * units
    assert len(requests) - inputs <= 4 * units


def test_failed_rows_are_asked_again_and_no_file_whether_it_is_there(
    store: Store, data: Path, endpoint: Endpoint
) -> None:
    """Whoever opens it learns that; to ask first is a HEAD, and a LIST where it is not there."""
    out = "s3://bucket/failing"
    endpoint.ailing = {"ada on what is 3 ": 500}
    some = ("--limit", 2 * SHARD, "--max-reject-rate", 1)
    assert qibox(*asked(data, out), *some) == Done(0, "", "")
    endpoint.ailing = {}
    store.take()
    again = qibox(*asked(data, out), *some, "--retry-failed")
    assert (again.status, again.stderr) == (0, "")
    requests = of_work(store.take())
    tables = [each for each in requests if each[1].endswith(".parquet")]
    assert kinds(tables)["HEAD"] == 0
    assert {*puts(requests)} == {
        f"failing/judgments/judge={GRM}/model=ada/shard-00001.parquet",
        "failing/scores/shard-00001.parquet",
    }


def test_the_other_commands_read_and_write_there(run: tuple[str, Requests]) -> None:
    out, _ = run
    chosen = qibox("select", out, "--q-band", 1, 10, "--u-min", 0)
    assert (chosen.status, chosen.stdout.splitlines()[-1]) == (
        0,
        f"wrote {out}/selections/default",
    )
    count = "select count(*) as n from scores join selections using (sample_id)"
    chosen = qibox("sql", out, count, "--format", "csv")
    assert (chosen.status, chosen.stdout.split()) == (0, ["n", "2"])  # the others ask the same
    assert qibox("show", out, "small:s3").status == 0
    cleaned = qibox("clean", out, "--dry-run")
    assert cleaned.status == 0
