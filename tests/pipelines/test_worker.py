import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from qibox.errors import QiboxError, UsageError
from qibox.pipelines import kept
from qibox.pipelines.worker import STOPPED, DoPosted, DoUnits
from qibox.run.layout import pool_path, scores_path
from qibox.run.storage import Storage
from qibox.run.units import Mend, Unit
from qibox.scoring.board import Board, posted
from qibox.scoring.progress import read_progress
from qibox.scoring.stage import TellRows
from qibox.scoring.turns import ShardWork, packed


class Tool:
    def __init__(self, log: list[str]) -> None:
        self.log = log
        log.append("loaded")

    def close(self) -> None:
        self.log.append("closed")


@dataclass
class Notes:
    """Writes a note for each unit; can fail to load or at work."""

    log: list[str] = field(default_factory=list)
    light: bool = True
    broken: str = ""
    inside: int = 0
    most_inside: int = 0

    @property
    def name(self) -> str:
        return "scores"

    def load(self, *, allow_remote_code: bool = False) -> Tool:
        if self.broken == "load":
            raise UsageError("no such weights")
        return Tool(self.log)

    def do(self, tool: Tool, storage: Storage, units: Sequence[Unit], report: TellRows) -> None:
        import pyarrow as pa

        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        for unit in units:
            self.log.append(unit.path)
            report(pa.array([None, "bad"]))
            if self.broken == "run":
                raise ZeroDivisionError
            storage.write_table(unit.path, pa.table({"reason": [None]}), unit.key)
        self.inside -= 1

    def mend(self, tool: Tool, storage: Storage, units: Sequence[Unit], report: TellRows) -> None:
        self.log.extend(f"mended {unit.path}" for unit in units)


def unit(n: int) -> Unit:
    return Unit(scores_path(n), f"key-{n}", n, 2, pool_path(n))


def work_on(*units: Unit) -> bytes:
    return packed(((0, units),))


def worker(work: Notes, root: Path, turn: str | None = None) -> DoUnits:
    return DoUnits([work], str(root), kept=turn)  # type: ignore[list-item]  # it has what a worker asks of a stage


def test_a_tool_is_loaded_for_the_first_user_and_closed_after_the_last(tmp_path: Path) -> None:
    work = Notes()
    step = worker(work, tmp_path)
    step.setup()
    other = worker(work, tmp_path)
    other._shared = step._shared  # as copies of one step in one process have it
    other.setup()
    assert work.log == ["loaded"]
    step.teardown()
    assert work.log == ["loaded"]
    other.teardown()
    assert work.log == ["loaded", "closed"]
    step.setup()
    step.teardown()
    assert work.log == ["loaded", "closed"] * 2


def test_what_is_kept_is_loaded_once_however_often_a_step_is_set_up(tmp_path: Path) -> None:
    """Dask sets a step up for each partition, and takes it down only where none failed."""
    work = Notes()
    for number in range(2):
        step = worker(work, tmp_path, "one")
        step.setup()
        assert list(step.process((0, [work_on(unit(number))]))) == [1]
        step.teardown()
    worker(work, tmp_path, "one").setup()  # whose partition fails: it is never taken down
    assert work.log == ["loaded", unit(0).path, unit(1).path]
    kept.close("one")
    assert work.log[-1] == "closed"
    kept.close("one")
    for turn in ("two", "three"):  # a turn whose end this process was not told ends with the next
        worker(work, tmp_path, turn).setup()
    assert work.log[3:] == ["closed", "loaded", "closed", "loaded"]
    kept.close("three")
    assert work.log[-1] == "closed"


def test_a_unit_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    work = Notes()
    step = worker(work, tmp_path)
    step.setup()
    assert list(step.process((0, [work_on(unit(0), unit(1))]))) == [2]
    assert list(step.process((1, [work_on(unit(1), unit(2))]))) == [1]
    step.teardown()
    assert work.log == ["loaded", unit(0).path, unit(1).path, unit(2).path, "closed"]
    report = read_progress(Storage(tmp_path), "scores")
    assert (report.units, report.rows, report.failed) == (3, 6, 3)
    assert report.reasons == {"bad": 3}


def test_a_second_try_looks_for_what_the_first_did_and_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_for: list[str] = []
    key = Storage.table_key

    def table_key(self: Storage, name: str) -> str | None:
        looked_for.append(name)
        return key(self, name)

    monkeypatch.setattr(Storage, "table_key", table_key)
    step = worker(Notes(), tmp_path)
    step.setup()
    units = [unit(n) for n in range(4)]
    assert list(step.process((0, [work_on(*units[:2])]))) == [2]
    assert list(step.process((0, [work_on(*units)]))) == [2]
    step.teardown()
    assert looked_for == [units[0].path, *(each.path for each in units[:3])]


def test_a_file_that_stands_is_mended_before_others_are_made(tmp_path: Path) -> None:
    work = Notes()
    step = worker(work, tmp_path)
    step.setup()
    list(step.process((0, [work_on(unit(0))])))
    ill = replace(unit(0), mend=Mend(rows=1, failed=1, reason=None))
    assert list(step.process((1, [work_on(unit(1), ill)]))) == [2]
    step.teardown()
    assert work.log[1:-1] == [unit(0).path, f"mended {unit(0).path}", unit(1).path]


def of_two_stages(n: int) -> ShardWork:
    """A shard whose tables are handed on in memory."""
    return ((0, (unit(n),)), (1, (replace(unit(n), path=f"after-{n}.parquet"),)))


def test_what_a_bundle_did_stands_when_it_ends(tmp_path: Path) -> None:
    step = DoUnits([Notes(), Notes()], str(tmp_path))  # type: ignore[list-item]
    step.setup()
    assert list(step.process((0, [packed(of_two_stages(0)), packed(of_two_stages(1))]))) == [2, 2]
    step.finish_bundle()
    storage = Storage(tmp_path)
    for n in (0, 1):
        assert [storage.table_key(u.path) for _, (u,) in of_two_stages(n)] == [f"key-{n}"] * 2
    step.teardown()
    assert not list(tmp_path.rglob(".*.parquet.*"))


def test_a_file_that_cannot_stand_stops_the_work_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / unit(0).path / "a folder").mkdir(parents=True)
    step = DoUnits([Notes(), Notes()], str(tmp_path))  # type: ignore[list-item]
    step.setup()
    list(step.process((0, [packed(of_two_stages(0))])))
    with pytest.raises(QiboxError, match="a directory stands where a file belongs"):
        step.finish_bundle()
    step.teardown()
    stopped = read_progress(Storage(tmp_path), "scores").stopped
    assert stopped is not None
    assert "directory" in stopped.message
    assert not (tmp_path / "after-0.parquet").exists()  # nothing stands whose input does not


def test_a_failed_unit_takes_its_rows_back(tmp_path: Path) -> None:
    step = worker(Notes(broken="run"), tmp_path)
    step.setup()
    with pytest.raises(ZeroDivisionError):
        list(step.process((0, [work_on(unit(0))])))
    step.teardown()
    report = read_progress(Storage(tmp_path), "scores")
    assert (report.units, report.rows, report.failed, report.reasons) == (0, 0, 0, {})


def test_why_a_tool_could_not_be_loaded_reaches_whoever_waits(tmp_path: Path) -> None:
    step = worker(Notes(broken="load"), tmp_path)
    with pytest.raises(UsageError):
        step.setup()
    step.teardown()
    stopped = read_progress(Storage(tmp_path), "scores").stopped
    assert stopped is not None
    error = stopped.error()
    assert isinstance(error, UsageError)
    assert str(error) == "no such weights"


@pytest.mark.parametrize("light", [True, False])
def test_a_model_serves_one_thread_at_a_time(tmp_path: Path, light: bool) -> None:
    barrier = threading.Barrier(2)

    @dataclass
    class Meeting(Notes):
        def do(self, tool: Tool, storage: Storage, units: Sequence[Unit], report: TellRows) -> None:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
            if self.light:
                barrier.wait(timeout=60)  # both must be inside at once
            self.inside -= 1

    work = Meeting(light=light)
    step = worker(work, tmp_path)
    step.setup()
    threads = [
        threading.Thread(target=lambda n=n: list(step.process((n, [work_on(unit(n))]))))
        for n in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    step.teardown()
    assert work.most_inside == (2 if light else 1)


def test_a_step_taken_down_at_work_ends_the_shard_at_hand_and_begins_no_other(
    tmp_path: Path,
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    @dataclass
    class Waiting(Notes):
        def do(self, tool: Tool, storage: Storage, units: Sequence[Unit], report: TellRows) -> None:
            inside.set()
            assert go_on.wait(timeout=60)
            super().do(tool, storage, units, report)

    work = Waiting()
    step = worker(work, tmp_path)
    step.setup()
    said: list[str] = []

    def do_two_shards() -> None:
        try:
            list(step.process((0, [work_on(unit(0)), work_on(unit(1))])))
        except QiboxError as error:
            said.append(str(error))

    threads = [threading.Thread(target=do_two_shards), threading.Thread(target=step.teardown)]
    threads[0].start()
    assert inside.wait(timeout=60)
    threads[1].start()
    assert "closed" not in work.log  # what is used is not taken away
    go_on.set()
    for thread in threads:
        thread.join()
    assert work.log == ["loaded", unit(0).path, "closed"]
    assert said == [STOPPED]


def test_threads_take_what_is_posted_until_nothing_is_left(tmp_path: Path) -> None:
    work = Notes()
    shards: list[ShardWork] = [((0, (unit(n),)),) for n in range(5)]
    with posted(Board(shards)) as board:
        quick, slow = (DoPosted([work], str(tmp_path), board=board.name) for _ in range(2))  # type: ignore[list-item]
        for step in (quick, slow):
            step.setup()
        begun = slow.process((1, [1]))
        assert next(begun) == 1
        assert list(quick.process((0, [0]))) == [1] * 4  # all that the other has not begun
        assert list(begun) == []
        for step in (quick, slow):
            step.finish_bundle()
            step.teardown()
    assert sorted(work.log) == ["closed", "closed", "loaded", "loaded", *map(scores_path, range(5))]
