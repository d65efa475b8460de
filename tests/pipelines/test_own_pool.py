"""A person's own file, without a manifest: `--pool questions.csv --images pictures/`."""

import contextlib
import csv
from pathlib import Path

import pytest

from qibox.mini.pool import iter_samples
from qibox.run.directory import Run
from tests.commands import Done, qibox
from tests.pool.making import rows_of

PICTURES = 150
BROKEN_ROWS = PICTURES // 25
ROWS = PICTURES + BROKEN_ROWS

# The picture and the question of a broken row, and how its reason begins.
BROKEN = [
    ("none-such.png", "what is it ?", "no image 'none-such.png'"),
    ("../questions.csv", "what is it ?", "image path '../questions.csv'"),
    ("notes.txt", "what is it ?", "not an image"),
    ("00000.png", "", "question is empty"),
    ("", "what is it ?", "image is missing"),
]


def write_pool(folder: Path) -> dict[int, str]:
    """Write questions.csv and pictures/; gives back the reasons of the broken rows by number."""
    (folder / "pictures").mkdir()
    (folder / "pictures/notes.txt").write_text("no picture")
    reasons = {}
    with (folder / "questions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "question"])
        number = 0
        for at, sample in enumerate(iter_samples("train", PICTURES)):
            name = f"{at:05d}.png"
            (folder / "pictures" / name).write_bytes(sample["image"]["bytes"])
            writer.writerow([name, sample["question"]])
            number += 1
            if at % 25 == 24:
                image, question, reason = BROKEN[at // 25 % len(BROKEN)]
                writer.writerow([image, question])
                reasons[number] = reason
                number += 1
    return reasons


def score(folder: Path, *options: str, out: str = "run") -> Done:
    with contextlib.chdir(folder):
        return qibox("score", *options, "--judge", "hash", "--out", out)


def test_a_dry_run_tells_of_rows_that_would_be_refused(tmp_path: Path) -> None:
    write_pool(tmp_path)
    done = score(tmp_path, "--pool", "questions.csv", "--images", "pictures", "--dry-run")
    assert done.status == 0, done.stderr
    assert f"{PICTURES} samples" in done.stdout
    assert f"{BROKEN_ROWS} of {ROWS} rows of the pool would be refused" in done.stdout
    assert not (tmp_path / "run").exists()


def test_a_pool_that_changed_since_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = next(iter_samples("train", 1))["image"]["bytes"]
    (tmp_path / "a.png").write_bytes(picture)
    pool = tmp_path / "questions.csv"
    pool.write_text("image,question\na.png,what is it ?\n")
    asked = ("score", "--pool", "questions.csv", "--judge", "hash", "--out", "run")
    asked += ("--models", "strong", "--samples-per-model", "1")
    first = qibox(*asked)
    assert (first.status, "changed after" in first.stderr) == (0, False)
    pool.write_text("image,question\na.png,what is it ?\na.png,where is it ?\n")
    again = qibox(*asked)
    assert "questions.csv changed after this run had read it: --rescore pool" in again.stderr
    assert "1 rows in = 1 scored" in again.stdout
    assert "2 rows in = 2 scored" in qibox(*asked, "--rescore", "pool").stdout


def test_a_pool_without_a_sample_says_why(tmp_path: Path) -> None:
    (tmp_path / "questions.csv").write_text(
        "image,question\na.png,one ?\nb.png,\n,two ?\n,three ?\n"
    )
    done = score(tmp_path, "--pool", "questions.csv")
    assert done.status == 2
    assert "4 of 4 rows were refused, 2 of them because: image is missing." in done.stderr


@pytest.mark.slow
def test_a_csv_and_a_folder_of_pictures_are_scored_by_the_miniature_panel(tmp_path: Path) -> None:
    reasons = write_pool(tmp_path)
    assert len(reasons) == BROKEN_ROWS
    own = ("--pool", "questions.csv", "--images", "pictures", "--max-reject-rate", "0.05")
    done = score(tmp_path, *own, "--samples-per-model", "1")
    assert done.status == 0, done.stderr
    assert "question from 'question'" in done.stderr
    assert "image from 'image'" in done.stderr
    assert "7 models of panel mini know the miniature world alone" in done.stderr
    assert "judge hash draws its verdicts: these scores mean nothing" in done.stderr
    assert f"{ROWS} rows in = {PICTURES} scored + {BROKEN_ROWS} not scored" in done.stdout
    run = Run.open(tmp_path / "run")
    rejects = {row["row"]: row["reason"] for row in rows_of(run, "rejects")}
    assert rejects.keys() == reasons.keys()
    assert [n for n, reason in reasons.items() if not rejects[n].startswith(reason)] == []
    scores = rows_of(run, "scores")
    assert len(scores) == PICTURES
    assert all(row["quality"] is not None and row["n_models"] == 7 for row in scores)
    assert "no image 'none-such.png'" in qibox("status", tmp_path / "run").stdout


def test_files_that_are_not_the_runs_own_are_left_alone(tmp_path: Path) -> None:
    write_pool(tmp_path)
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool/mine.parquet").write_bytes(b"mine")
    done = score(tmp_path, "--pool", "questions.csv", out=".")
    assert done.status == 2
    assert "is no run, and holds pool/mine.parquet" in done.stderr
    assert (tmp_path / "pool/mine.parquet").read_bytes() == b"mine"


def test_a_pool_that_is_not_named_by_its_option_is_refused(tmp_path: Path) -> None:
    done = score(tmp_path, "questions.csv", "--models", "strong")
    assert done.status == 2
    assert "a pool is given as --pool questions.csv" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_directory_may_have_any_name(tmp_path: Path) -> None:
    write_pool(tmp_path)
    own = ("--pool", "questions.csv", "--images", "pictures")
    done = score(tmp_path, *own, "--dry-run", out="we[/b]ird")
    assert done.status == 0, done.stderr
    assert "we[/b]ird" in done.stdout
