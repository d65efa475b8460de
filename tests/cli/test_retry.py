"""Rows that failed for a passing reason are asked again, and no other; through `qibox score`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from qibox.cli.main import cli
from qibox.errors import QiboxError, TooManyRejectsError
from qibox.judges.hash import HashJudge
from qibox.run.storage import Storage
from tests.endpoint import GRM, Endpoint, serving, write_endpoint
from tests.recordings import record

SEVEN = ("ada", "bay", "cid", "dot", "eve", "fox", "gil")
TABLES = ("responses", "judgments", "scores")

Row = dict[str, Any]


def qibox(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def score(data: Path, out: Path, *more: object, panel: str = "panel", judge: str = GRM) -> Result:
    named = data / f"{judge}.yaml" if judge == GRM else judge
    manifests = ("--pool", data / "pool.yaml", "--panel", data / f"{panel}.yaml", "--judge", named)
    return qibox("score", *manifests, "--out", out, *more)


def rows(out: Path, table: str) -> list[Row]:
    """A table's rows, in an order of their own."""
    storage = Storage(out)
    found = [row for name in storage.files(table) for row in storage.read_table(name).to_pylist()]
    return sorted(found, key=_place)


def _place(row: Row) -> tuple[str, ...]:
    return tuple(str(row.get(name)) for name in ("sample_id", "model", "k"))


def files(out: Path) -> dict[str, int]:
    """Which file stands under each name."""
    return {n: (out / n).stat().st_ino for table in TABLES for n in Storage(out).files(table)}


def anew(before: dict[str, int], after: dict[str, int]) -> list[str]:
    assert before.keys() == after.keys()
    return sorted(name for name in before if before[name] != after[name])


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as running:
        yield running


@pytest.fixture
def data(tmp_path: Path, endpoint: Endpoint) -> Path:
    """Ten samples in shards of five, for a panel of two behind the endpoint."""
    folder = record(tmp_path / "data", 10)
    write_endpoint(folder, endpoint.url)
    return folder


def test_two_of_700_judgments_are_asked_again_and_nothing_else(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    data = record(tmp_path / "data", 50, shard_size=10, models=SEVEN)
    write_endpoint(data, endpoint.url)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert score(data, whole).exit_code == 0
    endpoint.ailing = {"ada says 3.1": 500, "eve says 27.1": 500}
    first = score(data, broken)
    assert first.exit_code == 0, first.output  # 2 of 700 are fewer than 1 %
    assert "status 500: not now" in first.stdout
    strict = score(data, broken, "--max-reject-rate", 0.001)
    assert isinstance(strict.exception, TooManyRejectsError)
    assert "allow more, or ask them again (--max-reject-rate, --retry-failed)" in str(
        strict.exception
    )

    endpoint.ailing = {}
    endpoint.take_asked(GRM)
    before = files(broken)
    old = {table: rows(broken, table) for table in TABLES}
    again = score(data, broken, "--retry-failed", "--max-reject-rate", 0.001)
    assert again.exit_code == 0, again.output
    assert "judgments: 2 mended, 0 failed again" in again.stdout
    asked = endpoint.take_asked(GRM)
    assert len(asked) == 2
    assert sum("ada says 3.1" in prompt for prompt in asked) == 1
    assert sum("eve says 27.1" in prompt for prompt in asked) == 1

    assert len(old["judgments"]) == 700
    failed = [row for row in old["judgments"] if row["score"] is None]
    assert [(r["sample_id"], r["model"], r["k"]) for r in failed] == [
        ("small:s27", "eve", 1),
        ("small:s3", "ada", 1),
    ]
    mended = {_place(row) for row in failed}
    for was, now in zip(old["judgments"], rows(broken, "judgments"), strict=True):
        assert was == now or _place(was) in mended
    for table in TABLES:
        assert rows(broken, table) == rows(whole, table)
    assert anew(before, files(broken)) == [  # other files are the same files
        f"judgments/judge={GRM}/model=ada/shard-00000.parquet",
        f"judgments/judge={GRM}/model=eve/shard-00002.parquet",
        "scores/shard-00000.parquet",
        "scores/shard-00002.parquet",
    ]

    mended_files = files(broken)
    for more in ([], ["--retry-failed"]):
        assert score(data, broken, *more).exit_code == 0
    assert (endpoint.take_asked(GRM), files(broken)) == ([], mended_files)


def test_only_failures_with_the_reason_are_asked_again(
    data: Path, tmp_path: Path, endpoint: Endpoint
) -> None:
    out = tmp_path / "run"
    endpoint.ailing = {"ada says 3.1": 500, "bay says 4.1": 503}
    allowed = ("--max-reject-rate", 1)
    score(data, out, *allowed)
    endpoint.take_asked(GRM)
    before = files(out)
    none = score(data, out, "--retry-failed", "status 502", *allowed)
    assert "no failed row whose reason holds 'status 502' to ask again" in none.stdout
    assert (endpoint.take_asked(GRM), files(out)) == ([], before)
    endpoint.ailing = {}
    dry = score(data, out, "--retry-failed", "Status 503", "--dry-run")
    cells = [[cell.strip() for cell in line.split("│")] for line in dry.stdout.splitlines()]
    assert ["", f"judgments-{GRM}", "6", "5", "1", "1", ""] in cells
    done = score(data, out, "--retry-failed", "Status 503", *allowed)
    assert "judgments: 1 mended, 0 failed again" in done.stdout
    (prompt,) = endpoint.take_asked(GRM)
    assert "bay says 4.1" in prompt
    left = [row["reason"] for row in rows(out, "judgments") if row["reason"]]
    assert len(left) == 1
    assert "status 500" in left[0]


def test_what_fails_again_says_so_and_changes_nothing_where_the_reason_is_the_same(
    data: Path, tmp_path: Path, endpoint: Endpoint
) -> None:
    out = tmp_path / "run"
    endpoint.ailing = {"ada says 3.1": 500}
    allowed = ("--max-reject-rate", 1)
    score(data, out, *allowed)
    before = files(out)
    again = score(data, out, "--retry-failed", *allowed)
    assert "judgments: 0 mended, 1 failed again" in again.stdout
    assert files(out) == before
    strict = score(data, out, "--retry-failed")
    assert isinstance(strict.exception, TooManyRejectsError)
    endpoint.ailing = {"ada says 3.1": 504}
    score(data, out, "--retry-failed", *allowed)
    (reason,) = [row["reason"] for row in rows(out, "judgments") if row["reason"]]
    assert "status 504" in reason


def test_a_mended_response_is_judged_and_scored(
    data: Path, tmp_path: Path, endpoint: Endpoint
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert score(data, whole, panel="asked").exit_code == 0
    endpoint.ailing = {"what is 3 ?": 500}  # for both models: 4 responses, which none can judge
    score(data, broken, panel="asked")
    assert sum(row["text"] is None for row in rows(broken, "responses")) == 4
    for model in ("ada", GRM):
        endpoint.take_asked(model)
    endpoint.ailing = {}
    before = files(broken)
    done = score(data, broken, "--retry-failed", panel="asked")
    assert done.exit_code == 0, done.output
    assert "responses: 4 mended, 0 failed again" in done.stdout
    assert "judgments: 4 mended, 0 failed again" in done.stdout
    assert set(endpoint.take_asked("ada")) == {"what is 3 ?"}
    assert len(endpoint.take_asked(GRM)) == 4
    for table in TABLES:
        assert rows(broken, table) == rows(whole, table)
    assert all("shard-00000" in name for name in anew(before, files(broken)))


def test_a_response_that_fails_otherwise_is_told_so_by_its_judgment(
    data: Path, tmp_path: Path, endpoint: Endpoint
) -> None:
    out = tmp_path / "run"
    endpoint.ailing = {"what is 3 ?": 500}
    score(data, out, panel="asked")
    endpoint.ailing = {"what is 3 ?": 503}
    endpoint.take_asked(GRM)
    done = score(data, out, "--retry-failed", "--max-reject-rate", 1, panel="asked")
    assert "responses: 0 mended, 4 failed again" in done.stdout
    assert endpoint.take_asked(GRM) == []
    for table, head in (("responses", ""), ("judgments", "no response: ")):
        reasons = {row["reason"] for row in rows(out, table) if row["reason"]}
        assert reasons == {f"{head}endpoint answered status 503: not now"}
    assert score(data, out, "--max-reject-rate", 1, panel="asked").exit_code == 0


@pytest.mark.parametrize(
    ("ailing", "then"),
    [
        (["what is 3 ?", "what is 7 ?"], []),  # a plain go on notices what was mended
        (["what is 3 ?", "ada on what is 7 ?"], ["--retry-failed"]),
    ],
)
def test_stopped_at_any_write_it_goes_on_and_nothing_is_lost(
    data: Path,
    tmp_path: Path,
    endpoint: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    ailing: list[str],
    then: list[str],
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert score(data, whole, panel="asked").exit_code == 0
    endpoint.ailing = dict.fromkeys(ailing, 500)
    score(data, out, panel="asked")
    endpoint.ailing = {}
    writing, left, stops = Storage.table_writer, 0, 0

    def stopping(self: Storage, *arguments: Any, **named: Any) -> Any:
        nonlocal left
        if left == 0:
            raise OSError("the power is cut")
        left -= 1
        return writing(self, *arguments, **named)

    monkeypatch.setattr(Storage, "table_writer", stopping)
    command: list[str] = ["--retry-failed"]
    while True:
        left = 1  # each go writes one file more, and stops before the next
        done = score(data, out, *command, panel="asked")
        if done.exception is None:
            break
        assert "the power is cut" in str(done.exception)
        stops += 1
        texts = {_place(r): r["text"] for r in rows(out, "responses")}
        for row in rows(out, "judgments"):  # whole, and never ahead of what it is made of
            assert row["score"] is None or texts[_place(row)] is not None
        if all(text is not None for text in texts.values()):
            command = then
    assert stops >= 4
    for table in TABLES:
        assert rows(out, table) == rows(whole, table)


def test_a_mended_file_that_a_power_cut_took_back_is_followed_as_well(
    data: Path, tmp_path: Path, endpoint: Endpoint
) -> None:
    out = tmp_path / "run"
    endpoint.ailing = {"what is 3 ?": 500}
    score(data, out, panel="asked")
    endpoint.ailing = {}
    path = out / "responses/model=ada/shard-00000.parquet"
    old, before = path.read_bytes(), rows(out, "scores")
    score(data, out, "--retry-failed", panel="asked")
    whole = {table: rows(out, table) for table in TABLES}
    path.write_bytes(old)  # its new name had not reached the disk
    plain = score(data, out, "--max-reject-rate", 1, panel="asked")
    assert plain.exit_code == 0
    assert " mended, " not in plain.stdout
    gone = [row for row in rows(out, "judgments") if row["score"] is None]
    assert {(row["model"], row["sample_id"]) for row in gone} == {("ada", "small:s3")}
    assert rows(out, "scores") not in (before, whole["scores"])
    assert score(data, out, "--retry-failed", panel="asked").exit_code == 0
    assert {table: rows(out, table) for table in TABLES} == whole


def test_status_says_what_an_interrupted_retry_left_to_do(
    data: Path, tmp_path: Path, endpoint: Endpoint
) -> None:
    out = tmp_path / "run"
    endpoint.ailing = {"what is 3 ?": 500}
    score(data, out, panel="asked")
    endpoint.ailing = {"ada on what is 3 ?": 401}  # the judge's endpoint refuses the key
    stopped = score(data, out, "--retry-failed", panel="asked")
    assert isinstance(stopped.exception, QiboxError)
    cells = [
        [c.strip() for c in line.split("│")] for line in qibox("status", out).stdout.split("\n")
    ]
    assert ["", "judgments", "40", "20", "0", "20", ""] in cells
    endpoint.ailing = {}
    assert score(data, out, panel="asked").exit_code == 0
    assert "to do" not in qibox("status", out).stdout.split("rows in")[1]
    assert all(row["score"] is not None for row in rows(out, "judgments"))


def test_a_judge_that_raises_on_two_responses_costs_these_two_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = record(tmp_path / "data", 50, shard_size=10, models=SEVEN)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert score(data, whole, judge="hash").exit_code == 0
    judging = HashJudge.judge

    def raising(self: HashJudge, samples: Any, responses: Any) -> Any:
        for text in responses["text"].to_pylist():
            if text in ("ada says 3.1", "eve says 27.1"):
                raise ValueError(f"cannot bear '{text}' of /home/me/secret/file")
        return judging(self, samples, responses)

    with monkeypatch.context() as patched:
        patched.setattr(HashJudge, "judge", raising)
        done = score(data, broken, judge="hash")
        assert done.exit_code == 0, done.output
        strict = score(data, broken, "--max-reject-rate", 0.001, judge="hash")
    assert isinstance(strict.exception, TooManyRejectsError)
    assert strict.exception.exit_status == 3
    failed = [row for row in rows(broken, "judgments") if row["score"] is None]
    assert [row["reason"] for row in failed] == [
        "the judge failed: ValueError: cannot bear 'eve says 27.1' of …/file",
        "the judge failed: ValueError: cannot bear 'ada says 3.1' of …/file",
    ]
    gone = {_place(row) for row in failed}
    for good, row in zip(rows(whole, "judgments"), rows(broken, "judgments"), strict=True):
        assert row == good or _place(row) in gone
    assert all(row["quality"] is not None for row in rows(broken, "scores"))
    mended = score(data, broken, "--retry-failed", "cannot bear", judge="hash")
    assert "judgments: 2 mended, 0 failed again" in mended.stdout
    for table in TABLES:
        assert rows(broken, table) == rows(whole, table)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (QiboxError("the licence server is gone: start it"), "the licence server is gone"),
        (RuntimeError("CUDA error: unspecified launch failure"), "judge 'hash' cannot go on"),
    ],
)
def test_a_judge_that_cannot_go_on_stops_the_run_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    data = record(tmp_path / "data", 4)

    def raising(*_: object) -> Any:
        raise error

    monkeypatch.setattr(HashJudge, "judge", raising)
    stopped = score(data, tmp_path / "run", judge="hash")
    assert isinstance(stopped.exception, QiboxError)
    assert said in str(stopped.exception)
    assert "\n" not in str(stopped.exception)
    assert Storage(tmp_path / "run").files("judgments") == []


def test_a_directory_is_not_taken_for_a_reason(tmp_path: Path) -> None:
    done = qibox("profile", "--retry-failed", tmp_path)
    assert done.exit_code == 2
    assert "write it before --retry-failed" in done.output
