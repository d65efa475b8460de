"""A judge added to a run and to an evaluation, and people as one, on recorded responses."""

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from qibox.cli.commands import COMMANDS
from qibox.errors import TooManyRejectsError
from qibox.pipelines.run import score_run
from qibox.run.directory import Run
from qibox.run.layout import judgments_path
from qibox.scoring.kept_footers import NAME as NOTE
from qibox.scoring.opening import check_rejects
from qibox.scoring.summary import StageCount, Summary
from tests.commands import Done, qibox
from tests.evaluations import BENCHMARKS, OTHER, POLICIES, Watching, write_world
from tests.recordings import MODELS, K, record, recorded

SAMPLES = 12
Cells = tuple[object, ...]
HEADER = ("sample_id", "model", "k", "safe", "score", "who")


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by the judge `hash`, and another judge's manifest beside it."""
    folder = tmp_path_factory.mktemp("scored")
    score_run(folder / "run", recorded(record(folder / "data", SAMPLES)), Watching())
    write_judge(folder / "other.yaml", {})
    return folder


@pytest.fixture
def run(scored: Path, tmp_path: Path) -> Path:
    """A copy to work on."""
    shutil.copytree(scored / "run", tmp_path / "run")
    return tmp_path / "run"


def write_judge(path: Path, changes: dict[str, object]) -> Path:
    fields = OTHER.model_dump(mode="json", exclude_defaults=True) | changes
    path.write_text(yaml.safe_dump(fields))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below but for what tells of the run itself."""
    found = {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != NOTE  # it tells of times, and of nothing else
    }
    return {n: c for n, c in found.items() if Path(n).name != "run.yaml" and "lock" not in n}


def write_labels(path: Path, rows: Sequence[Cells], header: Sequence[str] = HEADER) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def judged(run: Path, query: str) -> list[Cells]:
    """Rows of a query over `judgments`, as `qibox sql` sees them."""
    out = run.parent / "rows.parquet"
    done = qibox("sql", run, query, "-o", out)
    assert done.status == 0, done.stderr
    return [tuple(row.values()) for row in pq.read_table(out).to_pylist()]


def refused(done: Done, *words: str) -> None:
    assert done.status == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


class TestAJudge:
    def test_rates_what_is_there_and_touches_nothing_else(self, scored: Path, run: Path) -> None:
        before = contents(run)
        done = qibox("judge", run, "--judge", scored / "other.yaml")
        assert done.status == 0, done.stderr
        assert "scores stay those of judge hash" in done.stderr
        after = contents(run)
        assert {name: after[name] for name in before} == before
        shards = {name for name in after if name not in before}
        assert shards == {judgments_path("other", m, s) for m in MODELS for s in range(3)}
        assert [judge.name for judge in Run.open(run).manifest.judges] == ["hash", "other"]
        counts = "select judge, count(*), count(score) from judgments group by 1 order by 1"
        rows = SAMPLES * K * len(MODELS)
        assert judged(run, counts) == [("hash", rows, rows), ("other", rows, rows)]
        assert judged(
            run,
            "select count(*) from judgments a join judgments b using (sample_id, model, k) "
            "where a.judge = 'hash' and b.judge = 'other' and a.score <> b.score",
        ) != [(0,)]

    def test_several_rate_one_after_the_other_each_once(self, scored: Path, run: Path) -> None:
        third = write_judge(scored / "third.yaml", {"name": "third"})
        named = ("--judge", scored / "other.yaml", "--judge", third, "--judge", third)
        done = qibox("judge", run, *named)
        assert done.status == 0, done.stderr
        assert done.stderr.count("scores stay those of judge hash") == 2
        assert [each.name for each in Run.open(run).manifest.judges] == ["hash", "other", "third"]
        rows = SAMPLES * K * len(MODELS)
        counts = "select judge, count(score) from judgments group by 1 order by 1"
        assert judged(run, counts) == [(name, rows) for name in ("hash", "other", "third")]
        before = contents(run)
        unknown = qibox("judge", run, "--judge", "third", "--judge", "nobody")
        refused(unknown, "no judge manifest named 'nobody'")
        assert contents(run) == before

    def test_is_as_if_it_had_been_there_from_the_start(
        self, scored: Path, run: Path, tmp_path: Path
    ) -> None:
        assert qibox("judge", run, "--judge", scored / "other.yaml").status == 0
        judges = [*recorded(scored / "data").judges, OTHER]
        score_run(tmp_path / "both", recorded(scored / "data", judges=judges), Watching())
        assert contents(run) == contents(tmp_path / "both")

    def test_finishes_what_is_missing_under_its_name(self, scored: Path, run: Path) -> None:
        assert qibox("judge", run, "--judge", scored / "other.yaml", "-q").status == 0
        whole = contents(run)
        gone = run / judgments_path("other", "bay", 1)
        times = {p: p.stat().st_mtime_ns for p in run.rglob("*.parquet") if p != gone}
        gone.unlink()
        assert qibox("judge", run, "--judge", "other", "-q").status == 0
        assert contents(run) == whole
        assert {p: p.stat().st_mtime_ns for p in times} == times
        again = qibox("judge", run, "--judge", "other", "--retry-failed")
        assert again.status == 0
        assert "no failed row to ask again" in again.stdout
        assert contents(run) == whole

    def test_another_of_its_name_is_refused(self, run: Path, tmp_path: Path) -> None:
        before = contents(run), (run / "run.yaml").read_bytes()
        changed = write_judge(tmp_path / "hash.yaml", {"name": "hash"})
        done = qibox("judge", run, "--judge", changed)
        refused(done, "another judge 'hash'", "judges.hash.weights.helpfulness was", "now 5.0")
        assert (contents(run), (run / "run.yaml").read_bytes()) == before
        refused(qibox("judge", run, "--judge", "oracle"), "cannot rate pool 'small'", "--judge")

    def test_no_model_is_asked(self, scored: Path, run: Path) -> None:
        (run / "responses/model=ada/shard-00001.parquet").unlink()
        before = contents(run)
        done = qibox("judge", run, "--judge", scored / "other.yaml")
        refused(done, "1 of 9 files of responses are missing", "qibox score")
        assert contents(run) == before
        assert [judge.name for judge in Run.open(run).manifest.judges] == ["hash"]

    def test_stays_when_the_run_goes_on(self, scored: Path, run: Path) -> None:
        assert qibox("judge", run, "--judge", scored / "other.yaml").status == 0
        whole = contents(run)
        for model in ("judge=hash/model=bay", "judge=other/model=cid"):
            (run / f"judgments/{model}/shard-00000.parquet").unlink()
        data = scored / "data"
        resume = ("score", "--pool", data / "pool.yaml", "--panel", data / "panel.yaml")
        resume += ("--judge", "hash", "--out", run)
        assert qibox(*resume).status == 0
        assert contents(run) == whole
        assert qibox(*resume, "--rescore", "judgments").status == 0
        assert [judge.name for judge in Run.open(run).manifest.judges] == ["hash"]
        assert (run / "outdated" / judgments_path("other", "ada", 0)).exists()


def test_an_evaluation_gets_a_second_opinion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_world(tmp_path)
    monkeypatch.chdir(tmp_path)
    chosen = ("--policy", POLICIES[0], "--pool", f"{BENCHMARKS[0]}.yaml", "--replay", "answers")
    assert qibox("eval", "run", *chosen).status == 0
    home = tmp_path / "run/evaluations" / BENCHMARKS[0]
    before = contents(tmp_path / "run")
    done = qibox("judge", home, "--judge", "other.yaml")
    assert done.status == 0, done.stderr
    after = contents(tmp_path / "run")
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 4  # the policy and its start, two shards each
    by_judge = "select distinct judge from evaluations where policy = 'first' order by 1"
    assert judged(tmp_path / "run", by_judge) == [("hash",), ("other",)]


class TestPeople:
    def test_are_a_judge_with_gaps(self, run: Path, tmp_path: Path) -> None:
        # Response 0 is the same text of all models; every other one is a model's own.
        labels = write_labels(
            tmp_path / "labels.csv",
            [
                ("small:s0", "ada", 0, "true", 9, "ann"),
                ("small:s0", "bay", 0, "yes", 7, "bob"),
                ("small:s0", "cid", 0, "0", 2, "cem"),
                ("small:s1", "ada", 1, "true", 8, "ann"),
                ("small:s1", "ada", 1, "false", 3.5, "bob"),
                ("small:s11", "cid", 1, "No", 1, "ann"),
            ],
        )
        before = contents(run)
        done = qibox("judge", run, "--labels", labels)
        assert done.status == 0, done.stderr  # though most have no label
        assert "× no label" in done.stdout
        after = contents(run)
        assert {name: after[name] for name in before} == before
        said = judged(
            run,
            "select sample_id, model, k, score, safe, rationale from judgments "
            "where judge = 'people' and score is not null order by all",
        )
        three = (6.0, True, "3 people: 2 of 3 labels say safe")
        assert said == [
            *[("small:s0", model, 0, *three) for model in MODELS],
            (
                "small:s1",
                "ada",
                1,
                5.75,
                None,
                "2 people: 1 of 2 labels say safe, a tie: neither safe nor unsafe",
            ),
            ("small:s11", "cid", 1, 1.0, False, "1 person: 0 of 1 labels say safe"),
        ]
        gaps = "select reason, count(*), count(safe) from judgments where score is null group by 1"
        assert judged(run, gaps) == [("no label", SAMPLES * K * len(MODELS) - 5, 0)]

    def test_are_known_by_their_file(self, run: Path, tmp_path: Path) -> None:
        labels = write_labels(tmp_path / "a.csv", [("small:s0", "ada", 1, "true", 9, "ann")])
        assert qibox("judge", run, "--labels", labels, "-q").status == 0
        whole = contents(run)
        assert qibox("judge", run, "--labels", labels, "-q").status == 0
        labels.write_text(labels.read_text().replace("9", "8"))
        refused(qibox("judge", run, "--labels", labels), "another judge 'people'", "revision was")
        assert contents(run) == whole
        assert qibox("judge", run, "--labels", labels, "--name", "later", "-q").status == 0
        scores = "select judge, score from judgments where judge <> 'hash' and score > 0 order by 1"
        assert judged(run, scores) == [("later", 8.0), ("people", 9.0)]

    def test_are_found_in_a_run_that_was_moved(self, run: Path, tmp_path: Path) -> None:
        labels = write_labels(tmp_path / "a.csv", [("small:s0", "ada", 1, "true", 9, "ann")])
        assert qibox("judge", run, "--labels", labels, "-q").status == 0
        whole = contents(run)
        moved = run.rename(tmp_path / "moved")
        labels.unlink()
        (moved / judgments_path("people", "ada", 0)).unlink()
        assert qibox("judge", moved, "--judge", "people", "-q").status == 0
        assert contents(moved) == whole

    def test_rate_nothing_that_they_were_not_shown(self, run: Path, tmp_path: Path) -> None:
        labels = write_labels(tmp_path / "a.csv", [("small:s0", "ada", 1, "true", 9, "ann")])
        assert qibox("judge", run, "--labels", labels, "-q").status == 0
        refused(qibox("profile", run, "--judge", "people"), "qibox judge RUN --labels FILE.csv")

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            (("small:s99", "ada", 0, "true", 9, "ann"), "response 0 of model 'ada' to sample"),
            (("small:s0", "ada", 2, "true", 9, "ann"), "'small:s0' is not there"),
            (("small:s0", "eve", 0, "true", 9, "ann"), "model 'eve' is none of"),
            (("small:s0", "ada", -1, "true", 9, "ann"), "k is '-1', not a response's number"),
            (("small:s0", "ada", 0, "maybe", 9, "ann"), "safe is 'maybe', not true or false"),
            (("small:s0", "ada", 0, "true", 11, "ann"), "score is '11', not a number from 1 to 10"),
            (("small:s0", "ada", 0, "true", "nan", "ann"), "score is 'nan', not a number"),
            (("small:s0", "ada", 0, "true", "", "ann"), "score is '', not a number"),
            (("small:s0", "ada", 0, "true", 9, " "), "who is ' ', not a name"),
            (("small:s0", "ada", 0, "true", 9), "it has 5 cells, not 6"),
            (("small:s1", "bay", 0, "true", 9, "ann"), "labelled this response in line 2 already"),
        ],
    )
    def test_what_is_wrong_is_named_by_its_line(
        self, scored: Path, tmp_path: Path, row: Cells, words: str
    ) -> None:
        good = ("small:s1", "bay", 0, "true", 9, "ann")
        labels = write_labels(tmp_path / "labels.csv", [good, row])
        before = contents(scored / "run")
        refused(qibox("judge", scored / "run", "--labels", labels), "line 3", words)
        assert contents(scored / "run") == before

    def test_other_columns_are_refused(self, scored: Path, tmp_path: Path) -> None:
        header = (*HEADER[:-1], "annotator")
        labels = write_labels(tmp_path / "labels.csv", [], header)
        refused(qibox("judge", scored / "run", "--labels", labels), "line 1", "annotator", "who")
        empty = write_labels(tmp_path / "empty.csv", [])
        refused(qibox("judge", scored / "run", "--labels", empty), "has no label")
        refused(qibox("judge", scored / "run", "--labels", tmp_path / "no.csv"), "no labels can")
        good = write_labels(tmp_path / "good.csv", [("small:s0", "ada", 1, "true", 9, "ann")])
        both = ("--labels", good, "--judge", "hash")
        refused(qibox("judge", scored / "run", *both), "leave out --judge")
        refused(qibox("judge", scored / "run", "--labels", good, "--name", "A b"), "--name 'A b'")


def test_a_missing_label_is_no_failure_and_hides_none() -> None:
    reasons = {"no label": 7, "its score is recorded as 11": 1}
    stage = StageCount("judgments", total=10, good=2, failed=8, pending=0, reasons=reasons)
    assert stage.reject_rate == pytest.approx(1 / 3)
    with pytest.raises(TooManyRejectsError, match=r"1 of 3 rows .* because: its score"):
        check_rejects(Summary((stage,), read=10, duplicates=0), 0.3)
    check_rejects(Summary((stage,), read=10, duplicates=0), 0.34)


def test_help_says_what_people_are_not_counted_for() -> None:
    assert "judge" in COMMANDS
    shown = " ".join(qibox("judge", "--help").stdout.split())
    assert 'has the reason "no label", which --max-reject-rate does not count' in shown
