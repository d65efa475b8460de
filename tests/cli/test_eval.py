import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result

from qibox.cli.main import cli
from qibox.engines.process.parent import end_idle_children
from qibox.errors import QiboxError, TooManyRejectsError, UsageError
from qibox.run.directory import Run
from qibox.scoring.lock import locked
from tests.evaluations import BENCHMARKS, POLICIES, SAMPLES, START, K, write_world
from tests.grpo.conftest import policy, recipe, run

__all__ = ["policy", "recipe", "run"]  # fixtures

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def qibox(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def printed(result: Result) -> str:
    """What was printed, without the frames and breaks of its tables."""
    assert result.exit_code == 0, result.output
    words = "".join(" " if "\u2500" <= c <= "\u257f" else c for c in result.stdout)
    return " ".join(words.split())


def rates(run: Run, benchmark: str) -> list[dict[str, object]]:
    """The rates over all samples that are kept beside a benchmark's answers."""
    rows = run.storage.read_table(f"evaluations/{benchmark}/rates.parquet").to_pylist()
    return [row for row in rows if row["by"] == "all"]


def test_help_shows_an_example() -> None:
    assert "qibox eval runs/mini --policy default" in qibox("eval", "--help").output


class TestRealPolicies:
    """Tiny policies of random weights answer the miniature world and the oracle judges."""

    def test_a_trained_policy_stands_beside_its_start(self, run: Run, policy: Path) -> None:
        where = run.storage.url
        assert qibox("train", where, "--policy", policy, "--steps", 1).exit_code == 0
        missing = qibox("eval", where, "--limit", 6)
        assert isinstance(missing.exception, UsageError)
        assert "--start" in str(missing.exception)
        wrong = qibox("eval", where, "--limit", 6, "--start", "builtin:strong")
        assert isinstance(wrong.exception, UsageError)
        assert "does not hold the weights" in str(wrong.exception)
        done = qibox("eval", where, "--limit", 6, "--samples-per-model", 2, "--start", policy)
        shown = printed(done)
        assert "default on mini-heldout, judge oracle" in shown
        assert "start trained change" in shown
        assert "12 responses judged; not judged: start 0, trained 0" in shown
        assert {(row["policy"], row["stage"]) for row in rates(run, "mini-heldout")} == {
            ("start-random-policy", "start"),
            ("default", "trained"),
        }
        overlap = qibox("eval", where, "--pool", "mini", "--limit", 20, "--start", policy)
        assert isinstance(overlap.exception, UsageError)
        assert "shares 8 samples with the selection" in str(overlap.exception)
        assert run.storage.files("evaluations/mini/responses") == []

    def test_policies_from_elsewhere_stand_alone(
        self, run: Run, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One is a directory, the other one a hub id that lies in the local cache."""
        cache = tmp_path / "cache"
        monkeypatch.setenv("HF_HUB_CACHE", str(cache))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        end_idle_children()  # they have read the environment
        known = cache / "models--somebody--tiny"
        shutil.copytree(policy, known / "snapshots" / COMMIT)
        (known / "refs").mkdir()
        (known / "refs/main").write_text(COMMIT)
        chosen = ["--policy", policy, "--policy", "somebody/tiny"]
        how = [run.storage.url, *chosen, "--limit", 3, "--samples-per-model", 1]
        done = qibox("eval", *how)
        end_idle_children()
        assert f"Note: somebody/tiny is asked at commit {COMMIT}, and so from now on" in done.stderr
        shown = printed(done)
        assert "random-policy on mini-heldout" in shown
        assert "somebody-tiny on mini-heldout" in shown
        assert "start" not in shown
        asked = yaml.safe_load(run.storage.read_text("evaluations/mini-heldout/run.yaml"))
        models = asked["panel"]["models"]
        assert models["somebody-tiny"]["source"] == "somebody/tiny"
        assert models["somebody-tiny"]["revision"] == COMMIT
        assert models["random-policy"]["source"] == "random-policy"  # no path of this machine

        # the branch moves, and the hub is not asked again
        shutil.copytree(policy, known / "snapshots" / COMMIT[::-1])
        (known / "refs/main").write_text(COMMIT[::-1])
        again = qibox("eval", *how)
        assert printed(again) == shown
        assert f"{COMMIT}, as this run asked it before" in again.stderr
        (known / "refs/main").unlink()  # what a branch stands for is not known here any more
        assert printed(qibox("eval", *how, "--policy", "somebody/tiny")) == shown
        end_idle_children()


class TestRecordedPolicies:
    """Three policies whose answers to two benchmarks are played from recordings."""

    @pytest.fixture
    def world(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
        monkeypatch.chdir(tmp_path)
        return write_world(tmp_path)

    def test_several_policies_pools_and_judges(self, world: Run) -> None:
        done = evaluate(*BENCHMARKS, policies=POLICIES[:2], judges=("hash", "other.yaml"))
        shown = printed(done)
        assert "chosen, judge hash: percent" in shown
        assert "chosen, judge other: percent" in shown
        for row in (START, *POLICIES[:2]):
            assert shown.count(f" {row} ") == 2, row
        assert "average" in shown
        assert "answers, rates and figures in run/evaluations" in done.stderr
        safety = [r for name in BENCHMARKS for r in rates(world, name) if r["measure"] == "safety"]
        assert len(safety) == 3 * 2 * 2

    def test_one_benchmark_is_shown_in_detail_a_policy_a_table(self, world: Run) -> None:
        shown = printed(evaluate("held", policies=POLICIES[:2]))
        assert "first on held, judge hash" in shown
        assert "second on held, judge hash" in shown
        assert "over-refusal, none % 3" in shown
        again = printed(evaluate("held", policies=POLICIES[:1]))
        assert "second on" not in again  # it stays in the rates, and was not asked for
        assert {row["policy"] for row in rates(world, "held")} == {START, *POLICIES[:2]}

    def test_a_suite_names_what_is_missing_and_goes_on(self, world: Run) -> None:
        listed = [
            {"label": "Held", "pool": "held.yaml"},
            {"label": "SIUO", "pool": "siuo"},
            {"label": "Kept", "pool": "kept.yaml"},
        ]
        suite = {"name": "mine", "about": "Made for a test.", "benchmarks": listed}
        Path("mine.yaml").write_text(yaml.safe_dump(suite))
        done = evaluate(suite="mine.yaml")
        shown = printed(done)
        assert "Note: without SIUO: " in done.stderr
        assert "hf download sinwang/SIUO" in done.stderr
        assert "not evaluated: SIUO" in shown
        assert "the average weighs 2 benchmarks alike" in shown
        suite["benchmarks"] = [listed[1]]
        Path("mine.yaml").write_text(yaml.safe_dump(suite))
        none = evaluate(suite="mine.yaml")
        assert isinstance(none.exception, UsageError)
        assert "nothing at siuo" in str(none.exception)

    def test_what_cannot_be_is_refused_in_one_sentence(self, world: Run) -> None:
        both = evaluate("held", suite="six")
        assert isinstance(both.exception, UsageError)
        assert "--pool held.yaml and --suite six were both given" in str(both.exception)
        nobody = evaluate("held", policies=("nobody",))
        assert isinstance(nobody.exception, UsageError)
        assert "no policy named 'nobody'" in str(nobody.exception)
        for options, words in (
            (["--no_such=1"], "Beam knows no option no_such"),
            (["--direct_num_workers=some"], "Beam refuses the options after --"),
        ):
            beam = evaluate("held", beam=options)
            assert isinstance(beam.exception, UsageError)
            assert words in str(beam.exception)
        assert world.storage.files("evaluations") == []

    def test_while_another_process_writes_the_run_it_is_refused(self, world: Run) -> None:
        with locked(world.storage):
            busy = evaluate("held")
        assert isinstance(busy.exception, QiboxError)
        assert "is being written by process" in str(busy.exception)

    def test_rows_that_fail_keep_a_reason_and_are_counted_nowhere(self, world: Run) -> None:
        path = Path("answers/model=first/all.parquet")
        table = pq.read_table(path)
        pq.write_table(table.filter([i != "held:b0" for i in table["sample_id"].to_pylist()]), path)
        done = evaluate("held")
        assert isinstance(done.exception, TooManyRejectsError)
        assert done.exception.exit_status == 3
        assert f"{K} of {2 * SAMPLES * K} rows of the stage responses failed" in str(done.exception)
        allowed = evaluate("held", more=["--max-reject-rate", "0.1"])
        assert f"not judged: start 0, trained {K}" in printed(allowed)
        (safety,) = (
            row
            for row in rates(world, "held")
            if (row["policy"], row["measure"]) == ("first", "safety")
        )
        assert (safety["samples"], safety["not_judged"]) == (SAMPLES - 1, K)
        query = (
            "select text, score, safe, reason is null as unexplained from evaluations "
            "where policy = 'first' and sample_id = 'held:b0'"
        )
        lines = qibox("sql", "run", query, "--format", "json").stdout.splitlines()
        expected = {"text": None, "score": None, "safe": None, "unexplained": False}
        assert [json.loads(line) for line in lines] == [expected] * K

    def test_the_same_again_through_another_runner_of_beams(self, world: Run) -> None:
        threads = ["--direct_num_workers=1", "--direct_running_mode=multi_threading"]
        assert evaluate("held", beam=threads).exit_code == 0
        before = rates(world, "held")
        world.storage.remove("evaluations/held")
        assert evaluate("held", beam=["--runner=FnApiRunner"]).exit_code == 0
        assert rates(world, "held") == before

    def test_show_has_every_policys_answers(self, world: Run) -> None:
        evaluate("held", policies=POLICIES[:2])
        shown = printed(qibox("show", "run/evaluations/held", "held:b1"))
        assert "held asks 1 ?" in shown
        assert "risk explicit" in shown
        for name in (START, *POLICIES[:2]):
            assert f"{name} says held:b1 1" in shown

    def test_status_counts_samples_responses_and_judgments(self, world: Run) -> None:
        evaluate("held", policies=POLICIES[:2])
        done = qibox("status", "run/evaluations/held")
        shown = printed(done)
        rows = 3 * SAMPLES * K
        assert f"responses {rows} {rows} 0 0 judgments {rows} {rows} 0 0" in shown
        assert f"{SAMPLES} rows in = {SAMPLES} samples + 0 not samples" in shown
        with locked(world.storage):  # whoever evaluates locks the run, not the benchmark's folder
            assert "by process" in qibox("status", "run/evaluations/held").stderr

    def test_sql_sees_it_as_a_run_of_its_own(self, world: Run) -> None:
        evaluate("held", policies=POLICIES[:2])
        query = "select model, count(score) as n from judgments group by all order by all"
        done = qibox("sql", "run/evaluations/held", query, "--format", "csv")
        each = SAMPLES * K
        assert done.stdout.split() == [
            "model,n",
            *(f"{name},{each}" for name in ("first", "second", START)),
        ]


def evaluate(
    *pools: str,
    policies: tuple[str, ...] = ("first",),
    judges: tuple[str, ...] = (),
    suite: str | None = None,
    more: list[str] | None = None,
    beam: list[str] | None = None,
) -> Result:
    """`qibox eval run --replay answers` on benchmarks of the recorded world."""
    words = [word for name in policies for word in ("--policy", name)]
    words += [word for name in pools for word in ("--pool", f"{name}.yaml")]
    words += [word for name in judges for word in ("--judge", name)]
    words += ["--suite", suite] if suite else []
    beam_words = ["--", *beam] if beam else []
    return qibox("eval", "run", "--replay", "answers", *words, *(more or []), *beam_words)
