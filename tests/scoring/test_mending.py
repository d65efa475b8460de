from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qibox.run.directory import PoolIndex, Run
from qibox.run.editions import joint_edition, next_edition
from qibox.run.storage import Storage
from qibox.run.units import Mend, Unit
from qibox.scoring.endings import counts_of
from qibox.scoring.footers import read_footer
from qibox.scoring.generate import AskModel
from qibox.scoring.judge import JudgeResponses
from qibox.scoring.mending import Patch, holds
from qibox.scoring.plan import Job, Plan, make_plan
from qibox.tables import JUDGMENTS, RESPONSES
from tests.runs import sample, write_run
from tests.scoring.test_generate import Echo, asking, pool
from tests.scoring.test_generate import unit as responses_unit
from tests.scoring.test_judge import Counting, judging, storage, unit

__all__ = ["storage"]  # a fixture

TABLE = pa.schema([("n", pa.int64()), ("reason", pa.string())])


def retrying(unit: Unit, reason: str | None = "") -> Unit:
    return replace(unit, mend=Mend(1, 1, reason))


@given(st.sets(st.integers(0, 19)), st.integers(1, 7))
def test_a_patch_changes_the_rows_it_has_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, changed: set[int], at_once: int
) -> None:
    storage = Storage(tmp_path_factory.mktemp("patch"))
    file = Unit("t.parquet", "key", 0, 20, "")
    old = pa.table({"n": range(20), "reason": pa.nulls(20, pa.string())}, schema=TABLE)
    storage.write_table(file.path, old, file.key)
    before = Path(storage.path(file.path)).stat().st_ino
    places = np.array(sorted(changed), np.int64)
    patch = Patch(TABLE)
    rows = pa.table({"n": places + 100, "reason": ["x"] * len(places)}, schema=TABLE)
    for half in (slice(0, len(places) // 2), slice(len(places) // 2, None)):
        own = pa.array(np.arange(len(places))[half])
        patch.put(places[half], rows.take(own), old.take(pa.array(places[half])))
    patch.write(storage, file, at_once)
    assert storage.read_table(file.path)["n"].to_pylist() == [
        n + 100 if n in changed else n for n in range(20)
    ]
    footer = read_footer(storage, file.path)
    assert footer is not None
    assert (footer.key, footer.failed) == ("key", len(changed))
    assert (footer.edition is None) == (not changed)
    assert (Path(storage.path(file.path)).stat().st_ino == before) == (not changed)


def test_editions_tell_contents_apart_and_files_that_were_never_mended_have_none() -> None:
    row = pa.table({"n": [1], "reason": ["x"]}, schema=TABLE)
    first = next_edition(None, row)
    assert first == next_edition(None, row)
    assert len({first, next_edition(first, row), next_edition(None, row.slice(1))}) == 3
    assert joint_edition([None, None]) is None
    assert joint_edition([]) is None
    assert len({joint_edition(pair) for pair in ([first, None], [None, first], [first])}) == 3


def test_a_reason_is_matched_in_any_case_as_it_stands() -> None:
    reasons = pa.array(["status 500: no.", None, "Status 503"])
    assert holds(reasons, "").tolist() == [True, False, True]
    assert holds(reasons, "STATUS").tolist() == [True, False, True]
    assert holds(reasons, "500: no.").tolist() == [True, False, False]
    assert holds(reasons, "50.").tolist() == [False, False, False]
    assert holds(reasons, None).tolist() == [False] * 3


def test_a_samples_failed_response_is_drawn_again_and_the_others_stay(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.write_table(pool_path := "pool/shard-00000.parquet", pool(["a", "b", "c"]))
    asking().do(Echo(), storage, [responses_unit(3)], lambda _: None)
    path = responses_unit(3).path
    rows = storage.read_table(path).to_pylist()
    rows[3] = {**dict.fromkeys(rows[3]), **{n: rows[3][n] for n in ("sample_id", "model", "k")}}
    rows[3]["reason"] = "timed out"
    rows[0]["text"] = "as it was"
    broken = pa.Table.from_pylist(rows, schema=RESPONSES)
    storage.write_table(path, broken, "the-key")
    ask: AskModel = asking()
    assert ask.rows_to_mend(storage, responses_unit(3), "timed") == 1
    assert ask.rows_to_mend(storage, responses_unit(3), "status") == 0
    told: list[pa.Array] = []
    engine = Echo()
    ask.mend(engine, storage, [retrying(responses_unit(3))], told.append)
    assert [call["key"].to_pylist() for call in engine.calls] == [["s1"]]
    found = storage.read_table(path).to_pylist()
    assert (found[3]["reasoning"], found[3]["answer"], found[3]["k"]) == ("1", "b", 1)
    assert found[:3] + found[4:] == rows[:3] + rows[4:]
    assert [reasons.to_pylist() for reasons in told] == [[None]]
    assert storage.table_key(path) == "the-key"
    assert storage.files("pool") == [pool_path]
    footer = read_footer(storage, path)
    assert footer is not None
    assert footer.counts == counts_of(storage.read_table(path))


def fail_judgment(storage: Storage, model: str, row: int, reason: str) -> list[dict[str, object]]:
    """Let one judgment have failed; gives back the rows as they stand then."""
    path = judged(model).path
    rows = storage.read_table(path).to_pylist()
    keys = ("sample_id", "judge", "model", "k")
    rows[row] = {**dict.fromkeys(rows[row]), **{n: rows[row][n] for n in keys}, "reason": reason}
    storage.write_table(path, pa.Table.from_pylist(rows, schema=JUDGMENTS), f"key-{model}")
    return rows


def judged(model: str) -> Unit:
    return replace(unit(model), inputs=(f"responses/model={model}/shard-00000.parquet",))


def mend(stage: JudgeResponses, storage: Storage, *models: str) -> Counting:
    judge = Counting()
    units = [retrying(judged(model)) for model in models]
    stage.mend(judge, storage, units, lambda _: None)
    return judge


def test_a_failed_judgment_is_asked_for_and_its_equal_is_taken_over(storage: Storage) -> None:
    judging().do(Counting(), storage, (unit("m"), unit("n")), lambda _: None)
    whole = {m: storage.read_table(unit(m).path) for m in "mn"}
    fail_judgment(storage, "m", 0, "out of luck")  # n gave the same text, and was judged
    fail_judgment(storage, "m", 1, "out of luck")
    assert judging().rows_to_mend(storage, judged("m"), "luck") == 2
    assert judging().rows_to_mend(storage, judged("n"), "") == 0  # its response is what failed
    assert mend(judging(), storage, "m").asked == [[("a", "m")]]
    for model in "mn":
        assert storage.read_table(unit(model).path).equals(whole[model])


def test_equal_texts_that_failed_are_asked_about_once(storage: Storage) -> None:
    judging().do(Counting(), storage, (unit("m"), unit("n")), lambda _: None)
    for model in "mn":
        fail_judgment(storage, model, 2, "out of luck")
    assert mend(judging(), storage, "m", "n").asked == [[("b", "x")]]


def test_a_judge_that_compares_is_given_the_samples_concerned_whole(storage: Storage) -> None:
    compares = judging("pairwise")
    compares.do(Counting(), storage, (unit("m"), unit("n")), lambda _: None)
    rows = fail_judgment(storage, "n", 1, "out of luck")
    judge = mend(compares, storage, "n")
    assert [set(asked) for asked in judge.asked] == [{("a", "n"), ("a", "x"), ("a", "m")}]
    found = storage.read_table(unit("n").path).to_pylist()
    assert found[1]["score"] is not None
    assert found[:1] + found[2:] == rows[:1] + rows[2:]


def test_policies_that_are_compared_stay_by_themselves(storage: Storage) -> None:
    compares = judging("pairwise", ())
    compares.do(Counting(), storage, (unit("m"), unit("n")), lambda _: None)
    fail_judgment(storage, "n", 1, "out of luck")
    assert [set(a) for a in mend(compares, storage, "n").asked] == [{("a", "n"), ("a", "x")}]


def planned(run: Run, retry: str | None = None) -> tuple[Plan, PoolIndex]:
    index = run.pool_index()
    assert index is not None
    return make_plan(Job(run, index), retry=retry), index


def test_a_plan_knows_what_to_ask_again(tmp_path: Path) -> None:
    run = write_run(tmp_path, [sample(name, 5.0, 1.0) for name in "abcde"])
    plan, _ = planned(run)
    assert plan.pending == 0
    plan, _ = planned(run, "stopped")
    pending = {wave.name: [unit.mend for unit in wave.pending] for wave in plan.waves}
    assert pending == {  # in each shard, the second model's last response to each sample
        "responses-first": [],
        "responses-second": [Mend(3, 3, "stopped"), Mend(2, 2, "stopped")],
        "judgments-hash": [],  # they wait for a response
        "scores": [],
    }
    assert plan.waves[1].pending_rows == 5
    assert planned(run, "not this")[0].pending == 0


def test_files_made_of_an_earlier_edition_are_to_be_mended_and_not_set_aside(
    tmp_path: Path,
) -> None:
    run = write_run(tmp_path, [sample(name, 5.0, 1.0) for name in "abcde"])
    _, index = planned(run)
    (first, _) = run.responses_units("second", index.shards())
    table = run.storage.read_table(first.path)
    with run.storage.table_writer(first.path, table.schema, first.key, edition="e") as writer:
        writer.write_table(table)
    plan, _ = planned(run)
    assert plan.outdated == ()
    assert [unit.path for wave in plan.waves for unit in wave.pending] == [
        "judgments/judge=hash/model=second/shard-00000.parquet"
    ]
    (late,) = plan.waves[2].pending
    assert late.mend == Mend(0, 3, None)
    assert late.path not in plan.footers
