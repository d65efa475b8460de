"""Columns guessed by their usual names, or a sentence that names the option."""

import base64
import json
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
    ("header", "named", "said"),
    [
        (
            "a,image",
            {},
            "which column of .* is the question: it has 'a', 'image'; .*--question-col",
        ),
        ("question,b", {}, "which column of .* is the image: .* name it with --image-column"),
        ("question,image", {"question": "q"}, r"has no column 'q' \(--question-column\): it has"),
        ("question,image", {"sample_id": "q"}, r"has no column 'q' \(--id-column\)"),
    ],
)
def test_what_cannot_be_guessed_names_the_option(
    tmp_path: Path, header: str, named: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        pool_from_path(csv_of(tmp_path, header), columns=named)


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
