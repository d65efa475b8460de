"""Evaluation with the real vLLM: a policy on one, then its judge on another, never both at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from qibox.engines.load import has_vllm
from qibox.engines.process.parent import end_idle_children
from qibox.evaluation.benchmarks import benchmark_jobs, questions_of
from qibox.evaluation.report import keep_rates
from qibox.manifests import JudgeManifest, PoolManifest, load_manifest
from qibox.opened import OpenRun
from qibox.pipelines.run import Settings, score_run, work_off
from qibox.policies.contenders import contenders_of
from qibox.policies.running import Running
from qibox.run.directory import Run
from qibox.run.storage import Storage
from qibox.scoring.opening import open_pool
from qibox.scoring.turns import Turn
from tests.engines.tinymodel import VERDICT_WORDS, make
from tests.evaluations import Watching
from tests.recordings import record, recorded

SAMPLES, K = 4, 2
CONTEXT = 1024  # tokens: the rubric, a question and an answer take some 500 of the tiny judge's
VERDICT_TOKENS = 120


class Counting(Watching):
    """Counts the processes that hold a model: before, at most during, and after each wave."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[tuple[int, int, int]] = []

    @contextmanager
    def turn(self, storage: Storage, turn: Turn) -> Iterator[None]:
        seen, over = [engines()], threading.Event()

        def watch() -> None:
            while not over.wait(0.05):
                seen.append(engines())

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            with super().turn(storage, turn):
                yield
        finally:
            over.set()
            thread.join()
        self.counts.append((seen[0], max(seen), engines()))


def engines() -> int:
    """How many child processes of this one there are for engines."""
    found = 0
    for child in psutil.Process().children():
        try:
            found += "qibox.engines.process.child" in child.cmdline()
        except psutil.Error:  # it ended meanwhile
            continue
    return found


def vllm_judge(folder: Path) -> JudgeManifest:
    """A generative judge on vLLM that writes verdicts at random."""
    return JudgeManifest.model_validate(
        {
            "name": "tiny-judge",
            "about": "A tiny model of random weights fills in the verdict.",
            "kind": "generative",
            "model": {
                "source": str(make(folder / "judge", context=CONTEXT, more=VERDICT_WORDS)),
                "engine": "vllm",
                "settings": {"max_model_len": CONTEXT},
            },
            "sampling": {"temperature": 0.0, "max_tokens": VERDICT_TOKENS},
        }
    )


@pytest.mark.vllm
@pytest.mark.xdist_group("vllm")
@pytest.mark.skipif(not has_vllm(), reason="vLLM IS NOT INSTALLED: make setup-vllm adds it")
def test_a_policy_and_its_judge_on_vllm_one_in_memory_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    end_idle_children()
    score_run("run", recorded(record(tmp_path / "data")), Watching())
    run, watcher = Run.open("run"), Counting()
    questions = questions_of(run, [vllm_judge(tmp_path)], samples_per_model=K, limit=SAMPLES)
    pool = load_manifest(PoolManifest, "mini-heldout")
    with contenders_of(run, ["builtin:policy"], running=Running(engine="vllm")) as contenders:
        (summary,) = work_off(
            run.storage,
            lambda: benchmark_jobs(
                run.storage, [pool], contenders, questions, lambda r: open_pool(r, watcher)
            ),
            watcher,
            Settings(),
        )
    assert watcher.waves == ["responses-builtin-policy:1", "judgments-tiny-judge:1"]
    assert watcher.counts == [(0, 1, 0), (0, 1, 0)]
    assert summary.complete

    responses = run.storage.read_table(
        "evaluations/mini-heldout/responses/model=builtin-policy/shard-00000.parquet"
    )
    assert (len(responses), responses["text"].null_count) == (SAMPLES * K, 0)
    with OpenRun("run") as opened:
        rows = opened.sql("select score, safe, reason from evaluations").fetchall()
    assert len(rows) == SAMPLES * K
    for score, safe, reason in rows:
        assert (score is None) == (safe is None) == (reason is not None)
    judged = [score for score, _, _ in rows if score is not None]
    assert judged
    assert all(1 <= score <= 10 for score in judged)
    rates = keep_rates(run, "mini-heldout", {})
    (row,) = rates.query("measure == 'score' and by == 'all'").to_dict("records")
    assert (row["responses"], row["not_judged"]) == (len(judged), SAMPLES * K - len(judged))
