from pathlib import Path

import pyarrow as pa

from qibox.run.directory import Run
from qibox.run.storage import Storage
from qibox.scoring.footers import Footer, read_footer, read_footers
from qibox.scoring.plan import Job, make_plan, set_aside
from tests.runs import sample, write_run


def small_run(path: Path) -> Run:
    """Five samples in shards of 3 and 2, two models, K = 2; all done."""
    return write_run(path, [sample(name, 5.0, 1.0) for name in "abcde"])


def test_waves_are_the_models_then_the_judges_then_the_scores(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    index = run.pool_index()
    assert index is not None
    plan = make_plan(Job(run, index))
    assert [(w.name, w.stage.folder, len(w.units), w.total_rows) for w in plan.waves] == [
        ("responses-first", "responses", 2, 10),
        ("responses-second", "responses", 2, 10),
        ("judgments-hash", "judgments", 4, 20),
        ("scores", "scores", 2, 5),
    ]
    assert plan.pending == 0
    assert plan.outdated == ()


def test_a_unit_is_done_only_under_its_own_key(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    index = run.pool_index()
    assert index is not None
    judged = run.judgments_units(run.manifest.judges[0], index.shards())
    table = run.storage.read_table(judged[1].path)
    run.storage.write_table(judged[1].path, table, "another key")
    run.storage.remove(judged[2].path)
    run.storage.write_text("scores/shard-00007.parquet", "not Parquet")
    plan = make_plan(Job(run, index))
    wave = plan.waves[2]
    assert wave.pending == (judged[1], judged[2])
    assert wave.pending_rows == 4 + 6
    assert wave.shards() == [(judged[2],), (judged[1],)]  # by shard
    assert plan.outdated == (judged[1].path,)
    assert list(plan.damaged) == ["scores/shard-00007.parquet"]
    assert plan.footers.keys() == {
        u.path for w in plan.waves for u in w.units if u not in wave.pending
    }
    set_aside(run.storage, plan.outdated)
    assert make_plan(Job(run, index)).outdated == ()
    assert run.storage.read_table(f"outdated/{judged[1].path}").equals(table)


def test_a_footer_counts_failed_rows_without_reading_them(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    reasons = pa.table({"reason": pa.array([None, "x", None, "y"])})
    with storage.table_writer("a.parquet", reasons.schema, "key") as writer:
        writer.write_table(reasons)
        writer.write_table(reasons.slice(0, 3))
    storage.write_table("b.parquet", pa.table({"n": [1]}))
    storage.write_table("c.parquet", reasons.schema.empty_table(), "empty")
    assert read_footers(storage, ["a.parquet", "b.parquet", "c.parquet", "gone.parquet"]) == {
        "a.parquet": Footer("key", 7, 3),
        "b.parquet": Footer(None, 1, 0),
        "c.parquet": Footer("empty", 0, 0),
    }
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    damaged = read_footer(storage, "d.parquet")
    assert damaged is not None
    assert damaged.key is None
    assert "d.parquet is damaged" in str(damaged.damage)
