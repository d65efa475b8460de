import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from qibox.errors import QiboxError, TooManyRejectsError, UsageError
from qibox.manifests import JudgeManifest
from qibox.pipelines.run import Settings, score_run
from qibox.run.directory import RunManifest
from qibox.run.storage import Storage
from qibox.run.unwritten import Unwritten
from qibox.scoring.lock import locked
from qibox.scoring.opening import check_rejects, dry_plan
from qibox.scoring.progress import read_progress
from qibox.scoring.turns import Turn
from qibox.scoring.watcher import Advance
from tests.recordings import HASH, MODELS, K, record, recorded, write_responses

SAMPLES = 12
TABLES = ("responses", "judgments", "scores")
OTHER = JudgeManifest(
    name="other", about="rates by hash as well", kind="hash", weights={"helpfulness": 5.0}
)


class Silent:
    """Watches without a word; remembers the waves that ran."""

    def __init__(self) -> None:
        self.waves: list[str] = []
        self.remarks: list[str] = []
        self.rows: list[int] = []

    @contextmanager
    def reading(self) -> Iterator[Advance]:
        self.waves.append("pool")
        yield self.rows.append

    @contextmanager
    def turn(self, storage: Storage, turn: Turn) -> Iterator[None]:
        self.waves += [f"{wave.name}:{len(wave.pending)}" for wave in turn.waves]
        yield

    def remark(self, text: str) -> None:
        self.remarks.append(text)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recordings"), SAMPLES)


@pytest.fixture(scope="module")
def manifest(data: Path) -> RunManifest:
    return recorded(data)


@pytest.fixture(scope="module")
def unbroken(data: Path, manifest: RunManifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    score_run(out, manifest, Silent())
    return out


def rows(run: Path, folder: str) -> list[dict[str, Any]]:
    storage = Storage(run)
    names = [name for name in storage.files(folder) if name.endswith(".parquet")]
    found = [row for name in names for row in storage.read_table(name).to_pylist()]
    return sorted(found, key=lambda r: (r["sample_id"], r.get("model", ""), r.get("k", 0)))


def marks(run: Path) -> dict[str, tuple[int, int]]:
    """Which file stands under each name, and since when."""
    found = {n: (run / n).stat() for table in TABLES for n in Storage(run).files(table)}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def test_every_row_is_there_once(unbroken: Path, manifest: RunManifest) -> None:
    responses = rows(unbroken, "responses")
    assert len(responses) == SAMPLES * len(MODELS) * K
    assert {(r["sample_id"], r["model"], r["k"]) for r in responses} == {
        (f"small:s{i}", model, k) for i in range(SAMPLES) for model in MODELS for k in range(K)
    }
    assert len(rows(unbroken, "judgments")) == len(responses)
    scores = rows(unbroken, "scores")
    assert [r["sample_id"] for r in scores] == sorted(f"small:s{i}" for i in range(SAMPLES))
    assert all(r["n_models"] == len(MODELS) and r["n_judged"] == 6 for r in scores)


def test_tables_handed_on_in_memory_make_the_same_files_as_those_read_again(
    unbroken: Path, manifest: RunManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qibox.scoring.handing.SLICE_SAMPLES", 1)  # every shard is a large one
    score_run(tmp_path / "read", manifest, Silent())
    for name in Storage(unbroken).files(""):
        if name.endswith(".parquet"):
            assert (tmp_path / "read" / name).read_bytes() == (unbroken / name).read_bytes(), name


def test_a_second_time_nothing_is_done(unbroken: Path, manifest: RunManifest) -> None:
    before, watcher = marks(unbroken), Silent()
    summary = score_run(unbroken, manifest, watcher)
    assert watcher.waves == []
    assert marks(unbroken) == before
    assert (summary.read, summary.scored, summary.not_scored) == (SAMPLES, SAMPLES, {})
    assert summary.complete


def test_only_what_is_missing_is_made(
    unbroken: Path, manifest: RunManifest, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    score_run(out, manifest, Silent())
    before = marks(out)
    gone = ["responses/model=bay/shard-00001.parquet", "scores/shard-00002.parquet"]
    for name in gone:
        (out / name).unlink()
    half = out / "judgments/judge=hash/model=cid/shard-00000.parquet"
    half.write_bytes(half.read_bytes()[:100])  # a disk that lied: never taken for done
    watcher = Silent()
    score_run(out, manifest, watcher)
    assert watcher.waves == ["responses-bay:1", "judgments-hash:1", "scores:1"]
    after = marks(out)
    redone = {name for name in after if after[name] != before.get(name)}
    assert redone == {*gone, str(half.relative_to(out))}
    for table in TABLES:
        assert rows(out, table) == rows(unbroken, table)


def test_nothing_of_this_machine_gets_into_a_run(unbroken: Path, data: Path) -> None:
    assert not (unbroken / "progress").exists()
    assert (unbroken / ".lock").read_bytes() == b""
    for path in unbroken.rglob("*"):
        if path.is_file():
            content = path.read_bytes().replace(os.path.relpath(data).encode(), b"")
            assert str(data).encode() not in content, path
            assert str(unbroken).encode() not in content, path
    written = yaml.safe_load((unbroken / "run.yaml").read_text())
    assert written["pool"]["path"] == os.path.relpath(data / "pool.jsonl")
    assert {"qibox", "apache-beam", "pyarrow"} <= written["versions"].keys()


def test_a_changed_manifest_is_refused_by_name(unbroken: Path, data: Path) -> None:
    before = marks(unbroken)
    with pytest.raises(UsageError, match=r"panel.sampling.samples was 2 and is now 1") as refused:
        score_run(unbroken, recorded(data, k=1), Silent())
    assert "Score into another directory" in str(refused.value)
    assert refused.value.fields == ("out", "rescore=responses")
    assert marks(unbroken) == before


def test_a_later_stage_does_not_consent_to_an_earlier_ones_change(
    unbroken: Path, data: Path
) -> None:
    with pytest.raises(UsageError, match="from stage responses on"):
        score_run(unbroken, recorded(data, k=1), Silent(), rescore="judgments")


def test_a_new_judge_keeps_the_responses(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    score_run(out, recorded(data), Silent())
    before = {n: m for n, m in marks(out).items() if n.startswith("responses")}
    watcher = Silent()
    score_run(out, recorded(data, judges=[OTHER]), watcher, rescore="judgments")
    assert watcher.waves == ["judgments-other:9", "scores:3"]
    assert {n: m for n, m in marks(out).items() if n.startswith("responses")} == before
    assert {r["judge"] for r in rows(out, "judgments")} == {"other"}
    kept = list((out / "outdated/judgments").rglob("*.parquet"))
    assert len(kept) == 9
    assert "12 files of another manifest" in watcher.remarks[0]


def test_a_second_judge_leaves_the_scores_of_the_first(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    score_run(out, recorded(data), Silent())
    before = marks(out)
    watcher = Silent()
    both = recorded(data, judges=[HASH, OTHER])
    score_run(out, both, watcher, rescore="judgments")
    assert watcher.waves == ["judgments-other:9"]
    assert {name: marks(out)[name] for name in before} == before


def test_one_more_model_keeps_the_others(data: Path, tmp_path: Path, unbroken: Path) -> None:
    out = tmp_path / "run"
    score_run(out, recorded(data, models=["ada", "cid"]), Silent())
    before = {n: m for n, m in marks(out).items() if not n.startswith("scores")}
    with pytest.raises(UsageError, match=r"panel.models.bay was absent and is now there"):
        score_run(out, recorded(data), Silent())
    watcher = Silent()
    score_run(out, recorded(data), watcher, rescore="responses")
    assert watcher.waves == ["responses-bay:3", "judgments-hash:3", "scores:3"]
    assert {name: marks(out)[name] for name in before} == before
    for table in TABLES:
        assert rows(out, table) == rows(unbroken, table)


def test_more_of_the_pool_keeps_the_shards_there_are(
    data: Path, tmp_path: Path, unbroken: Path
) -> None:
    out = tmp_path / "run"
    score_run(out, recorded(data, limit=7), Silent())  # shards of 5 and 2
    first = {n: m for n, m in marks(out).items() if "shard-00000" in n}
    with pytest.raises(UsageError, match="limit was 7 and is now null"):
        score_run(out, recorded(data), Silent())
    watcher = Silent()
    score_run(out, recorded(data), watcher, rescore="pool")
    assert watcher.waves[:2] == ["pool", "responses-ada:2"]
    assert {name: marks(out)[name] for name in first} == first
    for table in TABLES:
        assert rows(out, table) == rows(unbroken, table)


def test_less_of_the_pool_leaves_no_row_without_its_sample(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    score_run(out, recorded(data), Silent())
    score_run(out, recorded(data, limit=7), Silent(), rescore="pool")
    pool = {r["sample_id"] for r in rows(out, "pool") if r["sample_id"]}
    assert len(pool) == 7
    for table in TABLES:
        assert {r["sample_id"] for r in rows(out, table)} == pool


def test_where_recordings_lie_does_not_matter(data: Path, unbroken: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    record(moved, SAMPLES)
    again = recorded(moved)
    same_pool = again.model_copy(update={"pool": recorded(data).pool})
    watcher = Silent()
    score_run(unbroken, same_pool, watcher)
    assert watcher.waves == []


def test_rows_that_fail_are_counted_with_their_reason(tmp_path: Path) -> None:
    data = record(tmp_path / "data", 4)
    write_responses(data, "bay", [(0, 0, "x"), (0, 1, "y"), (1, 0, "x"), (2, 0, "z")])
    with (data / "pool.jsonl").open("a") as pool:
        pool.write('{"id": "empty", "question": ""}\n{"id": "s9", "question": "what is 0 ?"}\n')
    panel = yaml.safe_load((data / "panel.yaml").read_text()) | {"min_models": 3}
    (data / "panel.yaml").write_text(yaml.safe_dump(panel))
    summary = score_run(tmp_path / "run", recorded(data), Silent())
    by_name = {stage.name: stage for stage in summary.stages}
    assert summary.read == 6
    assert summary.scored == 3  # s3 has only two models
    assert summary.read == summary.scored + sum(summary.not_scored.values())
    assert by_name["pool"].failed == 1
    assert by_name["responses"].reasons == {"not recorded": 4, **by_name["responses"].reasons}
    assert by_name["responses"].total == by_name["responses"].good + by_name["responses"].failed
    assert sum(by_name["judgments"].reasons.values()) == by_name["responses"].failed
    with pytest.raises(TooManyRejectsError, match="allow more"):
        check_rejects(summary, 0.01)
    check_rejects(summary, 0.5)


def test_a_pool_without_a_sample_is_one_sentence(tmp_path: Path) -> None:
    data = record(tmp_path / "data", 2)
    (data / "pool.jsonl").write_text('{"id": "a", "question": null}\n')
    with pytest.raises(
        UsageError, match="1 of 1 rows were refused, 1 of them because: question is null"
    ):
        score_run(tmp_path / "run", recorded(data), Silent())


def test_an_engine_that_cannot_play_its_recording_says_so_in_its_own_words(tmp_path: Path) -> None:
    data = record(tmp_path / "data", 2)
    write_responses(data, "bay", [(0, 0, "x"), (0, 0, "y")])
    with pytest.raises(UsageError, match="twice for sample_id 'small:s0'"):
        score_run(tmp_path / "run", recorded(data), Silent())


def test_a_run_that_is_held_is_left_alone(manifest: RunManifest, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with locked(Storage(out)), pytest.raises(QiboxError, match=r"being written by process \d+"):
        score_run(out, manifest, Silent())
    assert not (out / "run.yaml").exists()


def test_an_unknown_beam_option_is_refused_before_anything_is_written(
    manifest: RunManifest, tmp_path: Path
) -> None:
    for option, said in (("--nonsense=1", "nonsense"), ("--direct_running_mode=x", "choice: 'x'")):
        with pytest.raises(UsageError, match=said):
            score_run(tmp_path / "run", manifest, Silent(), Settings(beam_options=[option]))
    assert not (tmp_path / "run").exists()


def test_a_dry_run_counts_and_writes_nothing(data: Path, tmp_path: Path) -> None:
    plan, index = dry_plan(Storage(tmp_path / "run"), recorded(data))
    assert (index.read, index.samples, index.rejected) == (SAMPLES, SAMPLES, 0)
    assert [(w.name, len(w.pending), w.pending_rows) for w in plan.waves] == [
        ("responses-ada", 3, 24),
        ("responses-bay", 3, 24),
        ("responses-cid", 3, 24),
        ("judgments-hash", 9, 72),
        ("scores", 3, 12),
    ]
    assert not (tmp_path / "run").exists()


def test_a_dry_run_sees_what_a_rescore_would_keep(data: Path, unbroken: Path) -> None:
    before = marks(unbroken)
    more = recorded(data, k=1)
    with pytest.raises(UsageError, match="from stage responses on"):
        dry_plan(Storage(unbroken), more)
    plan, _ = dry_plan(Storage(unbroken), recorded(data, judges=[OTHER]), rescore="pool")
    assert [len(w.pending) for w in plan.waves] == [0, 0, 0, 9, 3]
    assert marks(unbroken) == before


def test_what_a_killed_process_left_half_written_is_removed(
    manifest: RunManifest, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    left = out / "scores/.shard-00000.parquet.0123456789abcdef"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    score_run(out, manifest, Silent())
    assert not left.exists()


def test_a_storage_for_dry_runs_keeps_nothing(tmp_path: Path) -> None:
    storage = Unwritten(tmp_path)
    storage.write_text("a", "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "c").write_text("d")
    storage.remove("c")
    assert (tmp_path / "c").exists()


def test_progress_tells_of_a_wave_while_it_lasts(manifest: RunManifest, tmp_path: Path) -> None:
    told: dict[str, int] = {}

    class Asking(Silent):
        @contextmanager
        def turn(self, storage: Storage, turn: Turn) -> Iterator[None]:
            yield
            for wave in turn.waves:
                told[wave.name] = read_progress(storage, wave.name).rows

    score_run(tmp_path / "run", manifest, Asking())
    rows = SAMPLES * K
    names = [f"responses-{model}" for model in MODELS]
    assert told == {**dict.fromkeys(names, rows), "judgments-hash": 3 * rows, "scores": SAMPLES}
