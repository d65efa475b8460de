"""A flipped bit in a table of a finished run: an error that names the file, or nothing changed."""

import random
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.commands import qibox
from tests.recordings import record

FLIPS = 200
TABLES = ("pool", "responses", "judgments", "scores", "selections")

# One column, where no other would reveal that rows are gone, or all of them.
QUERIES = {
    "pool": ("select sum(length(question)) from pool", "select * exclude image from pool"),
    "responses": (
        "select sum(length(text)) from responses",
        "select * from responses order by all",
    ),
    "judgments": ("select avg(score) from judgments", "select * from judgments order by all"),
    "scores": ("select avg(quality) from scores", "select * from scores order by all"),
    "selections": (
        "select count(*), min(quality) from selections",
        "select * exclude (prompt, images) from selections order by all",
    ),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scored run with a selection, each table in more than one file."""
    folder = record(tmp_path_factory.mktemp("recorded"))
    out = folder / "run"
    score = ["score", "--pool", str(folder / "pool.yaml"), "--panel", str(folder / "panel.yaml")]
    assert qibox(*score, "--judge", "hash", "--out", out, "-q").status == 0
    assert qibox("select", out, "--random", "8").status == 0
    return out


def flip(path: Path, bit: int) -> bytes:
    """Flip one bit of a file; gives back what it held."""
    content = path.read_bytes()
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    path.write_bytes(changed)
    return content


@pytest.mark.slow
def test_a_flipped_bit_never_changes_a_figure(finished: Path) -> None:
    rng = random.Random(7)
    files = sorted(f for table in TABLES for f in (finished / table).rglob("*.parquet"))
    queries = [query for table in TABLES for query in QUERIES[table]]
    before = {q: qibox("sql", finished, q, "--format", "csv").stdout for q in queries}
    told = 0
    for _ in range(FLIPS):
        file = rng.choice(files)
        content = flip(file, rng.randrange(8 * file.stat().st_size))
        table = file.relative_to(finished).parts[0]
        query = rng.choice(QUERIES[table])
        done = qibox("sql", finished, query, "--format", "csv")
        if done.status == 0:
            assert done.stdout == before[query], f"{file} was read as something else"
        else:
            told += 1
            assert done.status == 1
            assert str(file) in done.stderr
            assert "is damaged" in done.stderr
        file.write_bytes(content)
    assert told > 0.9 * FLIPS  # what is left are bits that mean nothing


def test_verify_names_each_damaged_file_and_what_mends_it(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    assert "every table and text holds what was written" in qibox("status", run, "--verify").stdout
    mended_by = {
        "pool/shard-00001.parquet": "--rescore pool",
        "judgments/judge=hash/model=ada/shard-00000.parquet": f"`qibox score --out {run}`",
        "selections/default/data/train-00000-of-00001.parquet": "--name default --overwrite",
    }
    for name in mended_by:
        flip(run / name, 800)  # in the first page: the footers know nothing of it
    done = qibox("status", run, "--verify")
    assert done.status == 1
    for name, command in mended_by.items():
        (line,) = (line for line in done.stderr.splitlines() if name in line)
        assert command in line


def test_score_makes_damaged_units_again(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    broken = ["responses/model=bay/shard-00001.parquet", "scores/shard-00002.parquet"]
    before = {name: (run / name).read_bytes() for name in broken}
    for name in broken:
        flip(run / name, 800)
    folder = finished.parent
    score = ["score", "--pool", folder / "pool.yaml", "--panel", folder / "panel.yaml"]
    done = qibox(*score, "--judge", "hash", "--out", run)
    assert done.status == 0, done.stderr
    for name in broken:
        assert f"{run / name} is damaged" in done.stderr
        assert (run / name).read_bytes() == before[name]
        assert (run / "outdated" / name).exists()
    assert qibox("status", run, "--verify").status == 0


@pytest.mark.parametrize("name", ["data/train-00000-of-00001.parquet", "selection.yaml"])
def test_overwriting_mends_a_damaged_selection(finished: Path, tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    file = run / "selections/default" / name
    whole = flip(file, 800)
    seen = qibox("status", run, "--verify")
    assert f"`qibox select {run} --name default --overwrite`" in seen.stderr
    done = qibox("select", run, "--random", 8, "--name", "default", "--overwrite")
    assert done.status == 0, done.stderr
    assert file.read_bytes() == whole
    assert qibox("status", run, "--verify").status == 0


def test_rescore_pool_heals_a_damaged_shard_of_the_pool(finished: Path, tmp_path: Path) -> None:
    run, folder = tmp_path / "run", finished.parent
    shutil.copytree(finished, run)
    shard = run / "pool/shard-00001.parquet"
    whole = flip(shard, 800)
    (run / "responses/model=ada/shard-00001.parquet").unlink()  # so that the shard is read
    score = ["score", "--pool", folder / "pool.yaml", "--panel", folder / "panel.yaml"]
    score += ["--judge", "hash", "--out", run]
    done = qibox(*score)
    assert done.status == 1
    assert f"Error: {shard} is damaged" in done.stderr
    assert f"`qibox score --out {run} --rescore pool`" in done.stderr
    assert qibox(*score, "--rescore", "pool").status == 0
    assert shard.read_bytes() == whole
    assert qibox("status", run, "--verify").status == 0


def test_files_without_seals_and_checksums_are_read_as_before(
    finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    query = QUERIES["judgments"][1]
    before = qibox("sql", run, query, "--format", "csv").stdout
    for file in run.rglob("*.parquet"):
        pq.write_table(pq.ParquetFile(file).read(), file)
    assert qibox("sql", run, query, "--format", "csv").stdout == before
    assert qibox("status", run, "--verify").status == 0
    (run / "judgments/judge=hash/model=ada/shard-00000.parquet").write_bytes(b"PAR1")
    done = qibox("sql", run, query)
    assert done.status == 1
    assert "model=ada/shard-00000.parquet is damaged" in done.stderr
