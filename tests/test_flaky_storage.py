"""A storage that times out or refuses is asked again, and never taken for damaged or empty."""

from pathlib import Path

import pyarrow.dataset as ds
import pytest

from qibox.run import patience
from tests.commands import Done, qibox
from tests.flaky import trouble
from tests.recordings import record

FOR_EVER = 10**9


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "WAITS", (0.0,) * 8)  # one request of ours is several of theirs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recorded"))


def score(data: Path, out: object) -> Done:
    manifests = ("--pool", data / "pool.yaml", "--panel", data / "panel.yaml", "--judge", "hash")
    return qibox("score", *manifests, "-q", "--out", out)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    assert score(data, f"flaky://{out}").status == 0
    return out


def state(run: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in run.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(p.relative_to(run)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError, "Forbidden: quota of requests"),
        (PermissionError, "Access Denied"),
        (TimeoutError, "timed out"),
        (ConnectionResetError, "reset by peer"),
    ],
)
def test_what_fails_twice_is_done_the_third_time(
    data: Path, run: Path, tmp_path: Path, error: type[Exception], message: str
) -> None:
    out = tmp_path / "run"
    with trouble(2, error=error, message=message) as met:
        done = score(data, f"flaky://{out}")
        assert done.status == 0, done.stderr
        assert {operation for operation, _ in met.seen} >= {"info", "ls", "open", "read", "put"}
        again = score(data, f"flaky://{out}")
        assert (again.status, again.stderr) == (0, "")
    assert not (out / "outdated").exists()
    for table in ("scores", "judgments"):
        both = [ds.dataset(each / table, partitioning=None).to_table() for each in (out, run)]
        assert both[0].equals(both[1])


@pytest.mark.parametrize("operation", ["info", "ls", "open", "read"])
@pytest.mark.parametrize("word", ["judge=hash/model=bay", "scores", "run.yaml", "_index.json"])
def test_what_stays_silent_is_told_and_nothing_is_taken_for_damaged_or_absent(
    data: Path, run: Path, operation: str, word: str
) -> None:
    before = state(run)
    for command in ("score", "status", "select"):
        with trouble(FOR_EVER, operations=(operation,), word=word) as met:
            url = f"flaky://{run}"
            more = ("--q-band", "1", "10", "--u-min", "0", "--name", f"{operation}-a")
            done = (
                score(data, url)
                if command == "score"
                else qibox(command, url, *(more if command == "select" else ()))
            )
        if met.seen and command != "select":
            assert done.status == 1, (command, done.stdout, done.stderr)
            assert "the storage does not answer as it should" in done.stderr
            assert word in done.stderr
        assert "Traceback" not in done.stderr
        assert "damaged" not in done.stderr.lower()
        now = state(run)
        assert {name: now.get(name) for name in before} == before, command
        assert not (run / "outdated").exists()
    assert score(data, f"flaky://{run}").status == 0
    assert {name: state(run)[name] for name in before} == before


def test_sql_reads_through_a_storage_that_fails_now_and_then(run: Path) -> None:
    with trouble(2) as met:
        done = qibox("sql", f"flaky://{run}", "select count(*) n from judgments", "--format", "csv")
    assert done.status == 0, done.stderr
    assert done.stdout.split() == ["n", "72"]
    assert met.seen
