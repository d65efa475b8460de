"""Odd pools through the command line: a sentence that names what is odd, or rows that are right."""

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from qibox.manifests import PoolManifest
from qibox.opened import OpenRun
from qibox.pool.parquet import read_parquet
from qibox.pool.rows import BATCH_BYTES
from qibox.run.directory import Run
from tests.commands import Done, qibox
from tests.pool.making import images, picture, rows_of
from tests.recordings import record


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recorded"), 2, models=["ada"]) / "panel.yaml"


def score(panel: Path, pool: Path, out: Path, *more: object) -> Done:
    fixed = ("--panel", panel, "--judge", "hash", "--max-reject-rate", 1, "-q")
    return qibox("score", "--pool", pool, "--out", out, *fixed, *more)


def samples(panel: Path, pool: Path, out: Path, *more: object) -> list[dict[str, Any]]:
    done = score(panel, pool, out, *more)
    assert done.status == 0, done.stderr
    return rows_of(Run.open(out), "pool")


def manifest(folder: Path, **fields: Any) -> Path:
    path = folder / "pool.yaml"
    path.write_text(yaml.safe_dump({"name": "odd", "about": "made for a test", **fields}))
    return path


def imagefolder(folder: Path, form: str) -> Path:
    (folder / "data/sub").mkdir(parents=True)
    rows = []
    for number in range(3):
        name = f"sub/{number}.png" if number else "0.png"
        (folder / "data" / name).write_bytes(picture(number))
        rows.append({"file_name": name, "question": f"what is {number} ?"})
    lines = [json.dumps(row) for row in rows]
    if form == "csv":
        lines = ["file_name,question", *(f"{r['file_name']},{r['question']}" for r in rows)]
    (folder / f"data/metadata.{form}").write_text("\n".join(lines) + "\n")
    return folder / "data"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_folder_of_pictures_with_its_metadata(panel: Path, tmp_path: Path, form: str) -> None:
    found = samples(panel, imagefolder(tmp_path, form), tmp_path / "run")
    assert {s["question"]: (s["image"]["path"], s["image"]["bytes"]) for s in found} == {
        "what is 0 ?": ("0.png", picture(0)),
        "what is 1 ?": ("sub/1.png", picture(1)),
        "what is 2 ?": ("sub/2.png", picture(2)),
    }


def test_a_folder_of_pictures_with_a_bad_file_is_one_sentence(panel: Path, tmp_path: Path) -> None:
    data = imagefolder(tmp_path, "jsonl")
    (data / "metadata.jsonl").write_text('{"file_name": nope\n')
    done = score(panel, data, tmp_path / "run")
    assert done.status == 2
    assert "a file of the directory" in done.stderr
    (data / "metadata.jsonl").unlink()
    for picture_file in data.rglob("*.png"):
        picture_file.unlink()
    (data / "first.jsonl").write_text('{"question": nope\n')
    done = score(panel, data, tmp_path / "run")
    assert done.status == 2
    assert "a file of the directory" in done.stderr


def test_classes_have_their_names_in_parquet_too(panel: Path, tmp_path: Path) -> None:
    label = datasets.ClassLabel(names=["drugs", "arms"])
    features = datasets.Features({"question": datasets.Value("string"), "label": label})
    table = {"question": ["a", "b", "c"], "label": [1, 0, -1]}
    datasets.Dataset.from_dict(table, features=features).to_parquet(tmp_path / "q.parquet")
    options = ("--image-column", "none")
    found = samples(panel, tmp_path / "q.parquet", tmp_path / "run", *options)
    assert [s["category"] for s in found] == ["arms", "drugs", None]


def test_a_column_guessed_wrongly_is_unset(panel: Path, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("question,label,id\na,1,x\nb,2,y\n")
    options = ("--image-column", "none", "--category-column", "none", "--id-column", "none")
    found = samples(panel, tmp_path / "q.csv", tmp_path / "run", *options)
    assert [(s["category"], s["image"]) for s in found] == [(None, None)] * 2
    assert not any(s["sample_id"].endswith((":x", ":y")) for s in found)
    done = score(panel, tmp_path / "q.csv", tmp_path / "other", "--question-column", "none")
    assert (done.status, "needs a question" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("form", "value", "says"),
    [
        ("parquet", 2020, "write '2020' in quotes"),
        ("csv", 2020, "write '2020' in quotes"),
        ("jsonl", 2020, "write '2020' in quotes"),
        ("jsonl", True, "write 'True' in quotes"),
        ("parquet", "2020", None),
        ("csv", "2020", None),
        ("jsonl", "2020", None),
    ],
)
def test_where_on_another_type(
    panel: Path, tmp_path: Path, form: str, value: object, says: str | None
) -> None:
    rows = [{"question": "a", "year": "2020"}, {"question": "b", "year": "2021"}]
    path = tmp_path / f"q.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif form == "csv":
        path.write_text("question,year\na,2020\nb,2021\n")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    fields = {"format": form, "path": str(path), "columns": {"image": None}, "text_only": True}
    pool = manifest(tmp_path, **fields, where={"year": value})
    if says is None:
        assert [s["question"] for s in samples(panel, pool, tmp_path / "run")] == ["a"]
    else:
        done = score(panel, pool, tmp_path / "run")
        assert (done.status, says in done.stderr) == (2, True), done.stderr


def test_a_number_is_found_among_numbers(panel: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": ["a", "b"], "n": [1.0, 2.0]}), tmp_path / "q.parquet")
    fields = {"columns": {"image": None}, "text_only": True, "where": {"n": 2}}
    pool = manifest(tmp_path, format="parquet", path=str(tmp_path / "q.parquet"), **fields)
    assert [s["question"] for s in samples(panel, pool, tmp_path / "run")] == ["b"]


def test_two_columns_of_one_name_are_refused(panel: Path, tmp_path: Path) -> None:
    columns = [pa.array(["a"]), pa.array(["b"]), images(picture(0))]
    table = pa.Table.from_arrays(columns, names=["question", "question", "image"])
    pq.write_table(table, tmp_path / "q.parquet")
    done = score(panel, tmp_path / "q.parquet", tmp_path / "run")
    assert (done.status, "has two columns 'question'" in done.stderr) == (2, True), done.stderr


def test_half_a_pair_and_bytes_that_are_no_text_in_meta_can_be_asked_for(
    panel: Path, tmp_path: Path
) -> None:
    row = '{"question": "a", "note": "x\\ud83d", "fine": "\\ud83d\\ude00"}\n'
    (tmp_path / "q.jsonl").write_text(row)
    columns = {"image": None, "meta": ["note", "fine"]}
    fields = {"columns": columns, "text_only": True, "path": str(tmp_path / "q.jsonl")}
    pool = manifest(tmp_path, format="jsonl", **fields)
    assert len(samples(panel, pool, tmp_path / "run")) == 1
    with OpenRun(tmp_path / "run") as run:
        query = "select meta->>'note', meta->>'fine' from pool"
        assert run.sql(query).fetchall() == [("x�", "😀")]
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"x\xff")]
    )
    pq.write_table(pa.table({"question": ["a"], "note": broken}), tmp_path / "q.parquet")
    columns = {"image": None, "meta": ["note"]}
    fields = {"columns": columns, "text_only": True, "path": str(tmp_path / "q.parquet")}
    pool = manifest(tmp_path, format="parquet", **fields)
    found = samples(panel, pool, tmp_path / "other")
    assert json.loads(found[0]["meta"]) == {"note": "x�"}


def test_a_pool_of_parts_refuses_what_it_would_ignore(panel: Path, tmp_path: Path) -> None:
    pool = manifest(tmp_path, parts=["mini"], where={"a": 1}, license="mit")
    done = score(panel, pool, tmp_path / "run")
    assert done.status == 2
    assert "a pool of parts does not have where, license of its own" in done.stderr


def test_odd_entries_of_two_benchmarks_are_counted(panel: Path, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(picture(0))
    entries = [{"instruction": "a"}, "odd", {"unknown": "b"}]
    shared = {"id": 1, "safe": False, "harmful_category": "x", "harmful_subcategory": "y"}
    items = [{**shared, "image": "0.png", "instr-resp": entries}]
    (tmp_path / "vlguard.json").write_text(json.dumps(items))
    item = {"safe": "0.png", "unsafe": "0.png", "category": "c"}
    unequal = {**item, "safe_instructions": ["a", "b"], "unsafe_instructions": ["c"]}
    parts = {"chat": [], "embodied": [unequal], "other": [1, 2]}
    (tmp_path / "mssbench.json").write_text(json.dumps(parts))
    (tmp_path / "embodied").mkdir()
    (tmp_path / "embodied/0.png").write_bytes(picture(0))
    for form, good, reasons in (
        ("vlguard", 1, ["an entry of instr-resp holds no instruction that is known"] * 2),
        ("mssbench", 3, ["question is null", *["part 'other' is not known: chat and …"] * 2]),
    ):
        columns = {"sample_id": "id", "risk": "risk"}
        fields = {"path": str(tmp_path / f"{form}.json"), "images": str(tmp_path)}
        pool = manifest(tmp_path, format=form, columns=columns, **fields)
        assert len(samples(panel, pool, tmp_path / form)) == good
        found = [row["reason"] for row in rows_of(Run.open(tmp_path / form), "rejects")]
        assert [each[:20] for each in found] == [each[:20] for each in reasons]


def test_a_picture_that_repeats_does_not_fill_the_memory(tmp_path: Path) -> None:
    """200 rows of one 3 MB picture: 3 MB on the disk, and 600 MB if its batches are as many rows
    as the file's size lets expect."""
    large = pa.array([bytes(3 << 20)])
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), large)
    table = pa.table({"question": [f"what is {at} ?" for at in range(200)], "image": column})
    file = tmp_path / "pool.parquet"
    pq.write_table(table, file, compression="none", store_schema=False)
    assert file.stat().st_size < 4 << 20
    own = PoolManifest(name="odd", about="", format="parquet", path=str(file))
    sizes = [rows.image.nbytes for rows in read_parquet(own) if rows.image is not None]
    assert sum(sizes) >= 200 * (3 << 20)
    assert max(sizes) <= BATCH_BYTES


def test_small_batches_are_read_together(tmp_path: Path) -> None:
    """Small pictures in a dictionary of their own: batches stay as large as they were."""
    pictures = [picture(at) for at in range(3000)]
    table = pa.table({"question": [f"what is {at} ?" for at in range(3000)], "image": pictures})
    pq.write_table(table, tmp_path / "pool.parquet")
    own = PoolManifest(name="odd", about="", format="parquet", path=str(tmp_path / "pool.parquet"))
    batches = list(read_parquet(own))
    assert [number for rows in batches for number in rows.number.to_pylist()] == [*range(3000)]
    assert min(map(len, batches[:-1])) > 500
