"""Columns guessed by their usual names, or a sentence that names the option."""

import base64
import json
import zipfile
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qibox.errors import UsageError
from qibox.pool.guess import pool_from_path, said_aloud
from qibox.pool.lines import read_csv
from tests.pool.making import images, picture, read


def csv_of(folder: Path, header: str) -> str:
    (folder / "My Questions.csv").write_text(f"{header}\n" + "x," * header.count(",") + "x\n")
    return str(folder / "My Questions.csv")


@pytest.mark.parametrize(
    ("header", "question", "image", "own_id"),
    [
        ("question,image", "question", "image", None),
        ("id,Prompt,img_path", "Prompt", "img_path", "id"),
        ("Question ID,Query,File-Name", "Query", "File-Name", "Question ID"),
        ("text,instruction,picture,file", "instruction", "picture", None),  # the likelier name
        ("input,photo,uid", "input", "photo", "uid"),
    ],
)
def test_usual_names(
    tmp_path: Path, header: str, question: str, image: str, own_id: str | None
) -> None:
    manifest = pool_from_path(csv_of(tmp_path, header))
    columns = manifest.columns
    assert (columns.question, columns.image, columns.sample_id) == (question, image, own_id)
    assert (manifest.name, manifest.format) == ("my-questions", "csv")


def test_what_was_guessed_can_be_said(tmp_path: Path) -> None:
    path = csv_of(tmp_path, "id,prompt,img,severity")
    assert said_aloud(pool_from_path(path)) == (
        f"{path} read as csv: sample_id from 'id', question from 'prompt', image from 'img', "
        "severity from 'severity'"
    )


def test_a_named_column_is_not_guessed(tmp_path: Path) -> None:
    path = csv_of(tmp_path, "question,question_en,image,risk")
    columns = pool_from_path(path, columns={"question": "question_en", "category": "risk"}).columns
    assert (columns.question, columns.category, columns.risk) == ("question_en", "risk", None)


@pytest.mark.parametrize(
    ("header", "named", "said", "column"),
    [
        (
            "a,image",
            {},
            "which column of .* is the question: it has 'a', 'image'; name it",
            "question",
        ),
        ("question,b", {}, "which column of .* is the image: .* name it", "image"),
        ("question,image", {"question": "q"}, "no column 'q' for the question: it", "question"),
        ("question,image", {"sample_id": "q"}, "no column 'q' for the sample_id", "sample_id"),
        ("question,image", {"question": "none"}, "needs a question: name its column", "question"),
    ],
)
def test_what_cannot_be_guessed_names_the_column(
    tmp_path: Path, header: str, named: dict[str, str], said: str, column: str
) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        pool_from_path(csv_of(tmp_path, header), columns=named)
    assert refused.value.fields == (f"columns.{column}",)


def test_no_such_path_and_no_known_kind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pool at"):
        pool_from_path(str(tmp_path / "nothing.csv"))
    (tmp_path / "pool.xlsx").write_text("x")
    with pytest.raises(UsageError, match=r"is of no known kind: .*\.parquet, \.jsonl"):
        pool_from_path(str(tmp_path / "pool.xlsx"))


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "folder", "glob", "dataset"])
def test_every_kind_is_read_with_what_was_guessed(tmp_path: Path, kind: str) -> None:
    table = pa.table({"prompt": ["q"], "image": images(picture(1))})
    row = {"prompt": "q", "image": "1.png"}
    (tmp_path / "1.png").write_bytes(picture(1))
    path = tmp_path / {"folder": "data", "glob": "data", "dataset": "data"}.get(kind, f"p.{kind}")
    if kind == "jsonl":
        path.write_text(json.dumps(row) + "\n")
    elif kind == "json":
        path.write_text(json.dumps([row]))
    elif kind == "parquet":
        pq.write_table(table, path)
    elif kind == "dataset":
        datasets.Dataset(table).save_to_disk(str(path))
    else:
        path.mkdir()
        pq.write_table(table, path / "train.parquet")
    manifest = pool_from_path(str(path / "*.parquet" if kind == "glob" else path))
    _, samples, rejects = read(tmp_path, manifest)
    assert rejects == []
    assert [(s["question"], s["image"]["bytes"]) for s in samples] == [("q", picture(1))]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_header_tells_what_separates(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "mine.csv"
    head = separator.join(("id", '"image, or; none"', "question", "image"))
    row = separator.join(("1", "x", '"a, b; or c ?"', "p.png"))
    path.write_text(f"{head}\n{row}\n")
    columns = pool_from_path(str(path)).columns
    assert (columns.question, columns.image, columns.sample_id) == ("question", "image", "id")
    (record,) = read_csv(str(path), "mine")
    assert record.fields["question"] == "a, b; or c ?"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,question\n", "has no rows"),
        ("image,question\np.png\n", "the first one because: row has 1 fields, the header 2"),
        ("image,question,question\np.png,a,b\n", "has two columns 'question': rename one"),
    ],
)
def test_a_csv_without_a_readable_row_says_so(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        pool_from_path(str(path))


def test_pictures_inside_a_file_are_read_and_those_elsewhere_refused(tmp_path: Path) -> None:
    data = picture()
    inside = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    reasons: dict[str, str | None] = {
        inside: None,
        "data:image/png,%89PNG": "is a data URL, but not in base64",
        "data:image/png;base64,a": "is not base64",
        "https://example.org/p.png": "is a web address: download it and name the file",
        "x" * 200: f"no image '{'x' * 100}…' under",
    }
    lines = [json.dumps({"question": f"what is {n} ?", "image": i}) for n, i in enumerate(reasons)]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    _, samples, rejects = read(tmp_path, pool_from_path(str(tmp_path / "mine.jsonl")))
    assert [sample["image"] for sample in samples] == [{"bytes": data, "path": None}]
    found = {row["row"]: row["reason"] for row in rejects}
    for row, reason in enumerate(reasons.values()):
        assert (reason is None) if row not in found else reason in found[row]
        assert len(found.get(row, "")) < 200


def test_a_quote_that_nothing_closes_loses_no_row_silently(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    rows = [f"a.png,what is {number} ?" for number in range(10)]
    rows[6] = 'a.png,"what is 6 ?'
    (tmp_path / "mine.csv").write_text("\n".join(["image,question", *rows, ""]))
    index, samples, rejects = read(tmp_path, pool_from_path(str(tmp_path / "mine.csv")))
    assert (index.read, len(samples), len(rejects)) == (10, 6, 4)
    assert [row["row"] for row in rejects] == [6, 7, 8, 9]
    assert {row["reason"] for row in rejects} == {
        "row is not CSV: from line 8 on a quote opens and none closes it"
    }


def test_a_damaged_picture_in_a_zip_costs_its_own_row(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_LZMA) as file:
        file.writestr("0.png", picture(0))
        file.writestr("1.png", picture(1))
        start = file.getinfo("1.png").header_offset
    data = bytearray((tmp_path / "all.zip").read_bytes())
    data[start + 40 : start + 60] = bytes(20)
    (tmp_path / "all.zip").write_bytes(data)
    (tmp_path / "mine.csv").write_text("image,question\n0.png,one ?\n1.png,two ?\n")
    manifest = pool_from_path(str(tmp_path / "mine.csv"), images=str(tmp_path / "all.zip"))
    _, samples, rejects = read(tmp_path, manifest)
    assert len(samples) == 1
    assert "image '1.png' cannot be unpacked" in rejects[0]["reason"]
