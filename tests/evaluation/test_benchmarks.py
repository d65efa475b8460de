"""Policies answer benchmarks through the real waves, their answers played from recordings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from qibox.errors import UsageError
from qibox.evaluation.benchmarks import benchmark_jobs, profile_job, questions_of
from qibox.evaluation.report import judged_rows, keep_rates
from qibox.judges.hash import HashJudge
from qibox.manifests import JudgeManifest, PoolManifest
from qibox.manifests.load import load_manifest
from qibox.opened import OpenRun
from qibox.pipelines.run import Settings, work_off
from qibox.policies.contenders import contender_of, contenders_of, starts_of
from qibox.policies.running import Running
from qibox.run.directory import Run
from qibox.scoring.opening import open_pool
from tests.evaluations import BENCHMARKS, OTHER, POLICIES, SAMPLES, START, K, Watching, write_world
from tests.recordings import HASH


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A scored run with three policies from one start, two benchmarks and recorded answers."""
    monkeypatch.chdir(tmp_path)
    return write_world(tmp_path)


def evaluate(
    run: Run,
    policies: Sequence[str],
    judges: Sequence[JudgeManifest] = (),
    benchmarks: Sequence[str] = BENCHMARKS,
    retry: str | None = None,
    **how: Any,
) -> tuple[Watching, pd.DataFrame]:
    """What `qibox eval --replay answers` does."""
    watcher = Watching()
    pools = [load_manifest(PoolManifest, f"{name}.yaml") for name in benchmarks]
    questions = questions_of(run, judges, **how)
    with contenders_of(run, policies, running=Running(replay="answers")) as contenders:
        work_off(
            run.storage,
            lambda: benchmark_jobs(
                run.storage, pools, contenders, questions, lambda r: open_pool(r, watcher)
            ),
            watcher,
            Settings(),
            retry,
        )
    starts = starts_of(contenders)
    return watcher, pd.concat([keep_rates(run, pool.name, starts) for pool in pools])


def files(run: Run, folder: str) -> dict[str, int]:
    """Which file stands under each name."""
    return {n: Path(run.storage.path(n)).stat().st_ino for n in run.storage.files(folder)}


def test_two_policies_two_benchmarks_and_two_judges_in_one_go(run: Run) -> None:
    watcher, rates = evaluate(run, POLICIES[:2], [HASH, OTHER])
    assert watcher.waves == [  # each model once for both benchmarks, two shards each
        "responses-start-policy:4",
        "responses-first:4",
        "responses-second:4",
        "judgments-hash:12",
        "judgments-other:12",
    ]
    safety = rates[(rates["measure"] == "safety") & (rates["by"] == "all")]
    trained = safety[safety["stage"] == "trained"]
    assert sorted(zip(trained["policy"], trained["pool"], trained["judge"], strict=True)) == sorted(
        (policy, pool, judge)
        for policy in POLICIES[:2]
        for pool in BENCHMARKS
        for judge in ("hash", "other")
    )
    start = safety[safety["stage"] == "start"]
    assert (set(start["policy"]), len(start)) == ({START}, 4)
    assert set(trained["start"]) == {START}
    assert trained["change"].notna().all()
    assert evaluate(run, POLICIES[:2], [HASH, OTHER])[0].waves == []


def test_a_third_policy_added_later_asks_only_that_policy(run: Run) -> None:
    evaluate(run, POLICIES[:2], [HASH, OTHER])
    before = files(run, "evaluations")
    watcher, rates = evaluate(run, ["third"], [HASH])
    assert watcher.waves == ["responses-third:4", "judgments-hash:4"]
    after = files(run, "evaluations")
    kept = [name for name in before if "shard-" in name]
    assert kept
    assert all(after[name] == before[name] for name in kept)
    assert set(rates["policy"]) == {START, *POLICIES}  # what stood there is still counted
    assert watcher.remarks == []


def test_a_second_judge_redraws_no_answer_and_overwrites_no_verdict(run: Run) -> None:
    evaluate(run, ["first"])
    before = files(run, "evaluations")
    watcher, rates = evaluate(run, ["first"], [OTHER])
    assert watcher.waves == ["judgments-other:8"]
    after = files(run, "evaluations")
    assert all(after[name] == before[name] for name in before if "shard-" in name)
    assert set(rates["judge"]) == {"hash", "other"}


def test_asked_otherwise_everyone_named_is_asked_anew_and_the_rest_is_set_aside(run: Run) -> None:
    evaluate(run, POLICIES[:2], benchmarks=["held"])
    watcher, rates = evaluate(run, ["first"], benchmarks=["held"], limit=4)
    assert watcher.waves == []  # the first shard is the same, and all there is now
    assert any("moved to" in remark for remark in watcher.remarks)
    assert set(rates["policy"]) == {START, "first"}
    assert set(rates[rates["measure"] == "score"]["samples"]) == {4}
    evaluate(run, ["first"], benchmarks=["held"])
    again, _ = evaluate(run, ["first"], benchmarks=["held"], samples_per_model=1)
    assert again.waves == ["responses-start-policy:2", "responses-first:2", "judgments-hash:4"]


def test_evaluations_are_runs_of_their_own_and_views_of_the_run(run: Run) -> None:
    evaluate(run, ["first"])
    with OpenRun(run.storage.path("evaluations/held")) as held:
        assert len(held.sample("held:b0").answers) == 2 * K
        assert held.sql("select count(*) from scores").fetchall() == [(0,)]
    with OpenRun(run.storage.url) as opened:
        counts = opened.sql(
            "select stage, policy, pool, judge, count(*) as n, count(risk) as known "
            "from evaluations group by all order by all"
        ).fetchall()
        assert counts == [
            (stage, policy, pool, "hash", SAMPLES * K, SAMPLES * K)
            for stage, policy in (("start", START), ("trained", "first"))
            for pool in BENCHMARKS
        ]
        assert opened.sql("select count(*) from responses").fetchall() == [(72,)]  # the panel's own
        assert opened.sql("select count(distinct measure) from rates").fetchall() == [(6,)]


def test_evaluations_of_an_earlier_version_stay_until_they_are_made_anew(run: Run) -> None:
    evaluate(run, ["first"], benchmarks=["held"])
    rows = judged_rows(run, "held")
    for stage in ("start", "trained"):
        old = rows.set_column(0, "policy", pa.array(["first"] * len(rows)))
        old = old.set_column(2, "pool", pa.array(["kept"] * len(rows)))
        run.storage.write_table(f"policies/first/eval/kept-{stage}.parquet", old)
    with OpenRun(run.storage.url) as opened:
        query = "select count(*) from evaluations where pool = 'kept'"
        assert opened.sql(query).fetchall() == [(2 * len(rows),)]
    evaluate(run, ["first"], benchmarks=["kept"])
    with OpenRun(run.storage.url) as opened:
        assert opened.sql(query).fetchall() == [(2 * SAMPLES * K,)]


def train_on(run: Run, *questions: str) -> None:
    """Write the selection that the policies were trained on: questions without a picture."""
    images = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    schema = pa.schema([("question", pa.string()), ("images", images)])
    rows = [{"question": question, "images": []} for question in questions]
    shard = pa.Table.from_pylist(rows, schema=schema)
    run.storage.write_table("selections/x/data/train-00000-of-00001.parquet", shard)
    run.storage.write_text("selections/x/selection.yaml", "name: x\n")


def test_what_a_policy_was_trained_on_is_refused(run: Run) -> None:
    train_on(run, "held asks 0 ?", "held asks 1 ?")
    with pytest.raises(UsageError, match="'held' shares 2 samples"):
        evaluate(run, ["first"])
    assert run.storage.files("evaluations") == []


@pytest.mark.parametrize("limit", [4, None])
def test_what_is_refused_for_overlap_leaves_all_as_it_was(run: Run, limit: int | None) -> None:
    """Also where another benchmark comes first, and where another limit would set answers aside."""
    evaluate(run, ["first"])
    before = files(run, "evaluations")
    train_on(run, "kept asks 1 ?")
    with pytest.raises(UsageError, match="'kept' shares 1 samples"):
        evaluate(run, ["first", "second"], [OTHER], limit=limit)
    assert files(run, "evaluations") == before
    evaluate(run, ["first"], benchmarks=["held"])
    assert files(run, "outdated") == {}


def test_a_policys_failed_rows_are_asked_again_and_others_policies_not(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging = HashJudge.judge

    def raising(self: HashJudge, samples: pa.Table, responses: pa.Table) -> pa.Table:
        if pc.any(pc.match_substring(responses["text"], "b3 1")).as_py():
            raise ValueError("bad day")
        return judging(self, samples, responses)

    with monkeypatch.context() as patched:
        patched.setattr(HashJudge, "judge", raising)
        evaluate(run, ["first", "second"], benchmarks=["held"])
    before = files(run, "evaluations/held")
    watcher, _ = evaluate(run, ["second"], benchmarks=["held"], retry="bad day")
    assert watcher.waves == ["judgments-hash:2"]  # its own, and those of its start
    changed = [n for n, file in files(run, "evaluations/held").items() if before.get(n) != file]
    names = [name for name in changed if "/judgments/" in name]
    assert names == [
        f"evaluations/held/judgments/judge=hash/model={model}/shard-00000.parquet"
        for model in ("second", START)
    ]
    failed = [row for row in judged_rows(run, "held").to_pylist() if row["reason"] is not None]
    assert [(row["policy"], row["sample_id"], row["k"]) for row in failed] == [
        ("first", "held:b3", 1)
    ]


def test_a_policy_answers_the_runs_own_pool(run: Run) -> None:
    scores = files(run, "scores")
    watcher = Watching()
    with contender_of(run, "first", Running(replay="answers")) as contender:
        for limit in (7, None, None):
            questions = questions_of(run, limit=limit)
            work_off(
                run.storage,
                lambda q=questions: [profile_job(run, contender, q)],  # type: ignore[misc]
                watcher,
                Settings(),
            )
    # 7 of 12 samples in shards of 5 are one whole shard and part of the second
    assert watcher.waves == [
        "responses-first:2",
        "judgments-hash:2",
        "responses-first:2",
        "judgments-hash:2",
    ]
    assert files(run, "scores") == scores
    with OpenRun(run.storage.url) as opened:
        rows = opened.sql("select policy, judge, sample_id, n_judged from profiles").fetchall()
        assert sorted(rows) == sorted(("first", "hash", f"small:s{i}", K) for i in range(12))
    judgments = run.storage.files("profiles/first/judgments")
    by_hand = pa.concat_tables([run.storage.read_table(n) for n in judgments]).to_pandas()
    with OpenRun(run.storage.url) as opened:
        found = opened.sql("select sample_id, mean, spread, unsafe_share from profiles").fetchall()
    for sample_id, mean, spread, unsafe in found:
        own = by_hand[by_hand["sample_id"] == sample_id]
        assert (mean, spread, unsafe) == pytest.approx(
            (own["score"].mean(), own["score"].std(ddof=0), 1 - own["safe"].mean()), abs=1e-6
        )
