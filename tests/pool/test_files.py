"""Pools as people have them: CSV, TSV, JSON lines, zips, folders of Parquet, lists of images."""

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qibox.errors import UsageError
from qibox.pool import parquet
from qibox.pool.lines import read_csv, read_jsonl
from qibox.pool.pictures import open_pictures
from qibox.tables import IMAGE
from tests.pool.making import images, picture, pool, read


def put_pictures(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(picture(number))


def test_a_csv_beside_its_pictures(tmp_path: Path) -> None:
    put_pictures(tmp_path / "pictures", 3)
    (tmp_path / "pool.csv").write_text(
        "question,image,severity\r\n"
        '"with, comma and ""quotes""\r\nand a second line",pictures/0.png,3\r\n'
        "été,pictures/1.png, 2 \r\n"
        "no severity,pictures/2.png,\r\n"
    )
    manifest = pool(format="csv", path=str(tmp_path / "pool.csv"), columns={"severity": "severity"})
    _, samples, rejects = read(tmp_path, manifest)
    assert [(s["question"], s["severity"]) for s in samples] == [
        ('with, comma and "quotes"\r\nand a second line', 3),
        ("été", 2),
        ("no severity", None),
    ]
    assert samples[0]["image"] == {"bytes": picture(0), "path": "pictures/0.png"}
    assert rejects == []


def test_broken_csv_rows_cost_themselves_alone(tmp_path: Path) -> None:
    put_pictures(tmp_path, 1)
    rows = [b"question,image", b"one,0.png", b"too,many,0.png", b"few", b"\xff\xfe,0.png"]
    rows += [b"", b"two,0.png", b"tail " + b"x" * 40_000 + b",0.png"]
    (tmp_path / "pool.csv").write_bytes(b"\n".join(rows))
    _, samples, rejects = read(tmp_path, pool(format="csv", path=str(tmp_path / "pool.csv")))
    assert [s["question"] for s in samples] == ["one", "two"]
    assert [(r["row"], r["reason"]) for r in rejects] == [
        (1, "row has 3 fields, the header 2"),
        (2, "row has 1 fields, the header 2"),
        (3, "question is not UTF-8"),
        (5, "question has 40005 characters, more than the 32768 allowed"),
    ]


def test_an_empty_csv_is_a_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text("")
    with pytest.raises(UsageError, match="is empty: its first row must name the columns"):
        list(read_csv(str(tmp_path / "pool.csv"), "made"))


def test_tabs_separate_in_a_tsv(tmp_path: Path) -> None:
    (tmp_path / "pool.tsv").write_text("question\timage\na, b\t0.png\n")
    records = list(read_csv(str(tmp_path / "pool.tsv"), "made"))
    assert [r.fields for r in records] == [{"question": "a, b", "image": "0.png"}]


def test_blank_lines_of_jsonl_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "pool.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n  \n{"a": 2}\r\n{"a": 3}')
    records = list(read_jsonl(str(tmp_path / "pool.jsonl"), "made"))
    assert [(r.number, r.fields) for r in records] == [(0, {"a": 1}), (1, {"a": 2}), (2, {"a": 3})]


def test_a_line_without_end_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qibox.pool.lines.MAX_LINE", 50)
    (tmp_path / "pool.jsonl").write_bytes(b'{"a": 1}\n' + b"x" * 1234 + b'\n{"a": 2}\n')
    records = list(read_jsonl(str(tmp_path / "pool.jsonl"), "made"))
    assert [(r.number, r.fault) for r in records] == [
        (0, None),
        (1, "line has more than 50 bytes"),
        (2, None),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "is not JSON"), ('{"a": 1}', "holds a JSON dict, a list of objects is needed")],
)
def test_a_json_file_of_another_form_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "pool.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        read(tmp_path, pool(format="json", path=str(tmp_path / "pool.json")))


@pytest.mark.parametrize("inner", ["", "pictures/"])
def test_pictures_in_a_zip(tmp_path: Path, inner: str) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{inner}a/0.png", picture(0))
        archive.writestr(f"{inner}1.png", picture(1))
        archive.writestr("__MACOSX/._1.png", b"junk")
    rows = [{"question": "q", "image": name} for name in ("a/0.png", "1.png", "2.png", "../1.png")]
    (tmp_path / "pool.json").write_text(json.dumps(rows))
    manifest = pool(
        format="json", path=str(tmp_path / "pool.json"), images=str(tmp_path / "pictures.zip")
    )
    _, samples, rejects = read(tmp_path, manifest)
    assert [s["image"]["bytes"] for s in samples] == [picture(0), picture(1)]
    assert [r["reason"] for r in rejects] == [
        "no image '2.png' in the zip",
        "image path '../1.png' leaves the pool's folder of images",
    ]


def test_hostile_zips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(5000))
        archive.writestr("damaged.png", picture(1) * 9)
    data = bytearray(path.read_bytes())
    at = data.index(b"damaged.png") + len(b"damaged.png")
    data[at + 5 : at + 20] = bytes(15)
    path.write_bytes(data)
    monkeypatch.setattr("qibox.pool.pictures.MAX_BYTES", 4999)
    pictures = open_pictures(str(path))
    with pytest.raises(Exception, match=r"'bomb.png' has 5000 bytes, more than the 4999 allowed"):
        pictures.read("bomb.png")
    with pytest.raises(Exception, match=r"'damaged.png' cannot be unpacked"):
        pictures.read("damaged.png")


def test_what_is_no_zip_or_folder_is_a_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("no zip")
    with pytest.raises(UsageError, match="cannot be read as a zip of images"):
        open_pictures(str(tmp_path / "a.zip"))
    with pytest.raises(UsageError, match="no folder of images at"):
        open_pictures(str(tmp_path / "nowhere"))


def test_pictures_of_a_remote_folder() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/pool/pictures/0.png", picture(0))
    memory.pipe("/pool/secret.png", picture(1))
    pictures = open_pictures("memory://pool/pictures")
    assert pictures.read("0.png") == picture(0)
    with pytest.raises(Exception, match="leaves the pool's folder"):
        pictures.read("../secret.png")
    with pytest.raises(Exception, match=r"no image '1.png' under"):
        pictures.read("1.png")


def table(*numbers: int, **more: Any) -> pa.Table:
    questions = pa.array([f"q{n}" for n in numbers])
    return pa.table({"question": questions, "image": images(*map(picture, numbers)), **more})


def test_a_folder_of_parquet_with_splits(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    pq.write_table(table(3), data / "train-00001-of-00002.parquet")
    pq.write_table(table(1, 2), data / "train-00000-of-00002.parquet")
    pq.write_table(table(9), data / "test-00000-of-00001.parquet")
    every = pool(format="parquet", path=str(tmp_path))
    train = pool(format="parquet", path=str(tmp_path), split="train")
    glob = pool(format="parquet", path=str(tmp_path / "data" / "te*.parquet"))
    for manifest, expected in ((every, "q9 q1 q2 q3"), (train, "q1 q2 q3"), (glob, "q9")):
        _, samples, _ = read(tmp_path, manifest)
        assert " ".join(s["question"] for s in samples) == expected
    lost = pool(format="parquet", path=str(tmp_path), split="dev")
    with pytest.raises(UsageError, match=r"no Parquet file at .* of split 'dev'"):
        read(tmp_path, lost)


def test_what_is_no_parquet_is_a_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "pool.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(UsageError, match=r"pool.parquet cannot be read as Parquet"):
        read(tmp_path, pool(format="parquet", path=str(tmp_path / "pool.parquet")))


def test_a_row_group_too_large_to_hold_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "LARGE", 1)
    monkeypatch.setattr(parquet, "BATCH_BYTES", 1000)
    pq.write_table(table(*range(50)), tmp_path / "pool.parquet", row_group_size=50)
    index, samples, _ = read(tmp_path, pool(format="parquet", path=str(tmp_path / "pool.parquet")))
    assert [s["question"] for s in samples] == [f"q{n}" for n in range(50)]
    assert index.read == 50


@pytest.mark.parametrize(
    "column",
    [
        pa.array([picture(1)], pa.binary()),
        pa.array([picture(1)], pa.large_binary()),
        pa.array([{"bytes": picture(1)}]),
        pa.array([[{"bytes": picture(1), "path": "x"}]], pa.list_(IMAGE)),
        pa.array([[picture(1)]], pa.large_list(pa.binary())),
    ],
)
def test_images_in_every_form_that_parquet_has_them(tmp_path: Path, column: pa.Array) -> None:
    question = pa.array(["q"]).dictionary_encode()
    pq.write_table(pa.table({"question": question, "image": column}), tmp_path / "pool.parquet")
    _, samples, _ = read(tmp_path, pool(format="parquet", path=str(tmp_path / "pool.parquet")))
    assert [(s["question"], s["image"]["bytes"]) for s in samples] == [("q", picture(1))]


def test_a_row_with_several_images_is_refused(tmp_path: Path) -> None:
    one, two = {"bytes": picture(1), "path": None}, {"bytes": picture(2), "path": None}
    column = pa.array([[one], [one, two], [], None, [two]], pa.list_(IMAGE))
    pq.write_table(
        pa.table({"question": list("abcde"), "image": column}), tmp_path / "pool.parquet"
    )
    _, samples, rejects = read(
        tmp_path, pool(format="parquet", path=str(tmp_path / "pool.parquet"))
    )
    assert [(s["question"], s["image"]["bytes"]) for s in samples] == [
        ("a", picture(1)),
        ("e", picture(2)),
    ]
    assert [r["reason"] for r in rejects] == [
        "row has 2 images, one is needed",
        "image is missing",
        "image is missing",
    ]


def test_a_path_without_bytes_needs_a_folder(tmp_path: Path) -> None:
    column = pa.array([{"bytes": None, "path": "0.png"}], IMAGE)
    pq.write_table(pa.table({"question": ["q"], "image": column}), tmp_path / "pool.parquet")
    put_pictures(tmp_path / "pictures", 1)
    manifest = pool(format="parquet", path=str(tmp_path / "pool.parquet"))
    _, _, rejects = read(tmp_path, manifest)
    assert [r["reason"] for r in rejects] == [
        "image is a path without bytes, and the pool names no `images` folder"
    ]
    _, samples, _ = read(
        tmp_path, manifest.model_copy(update={"images": str(tmp_path / "pictures")})
    )
    assert samples[0]["image"] == {"bytes": picture(0), "path": "0.png"}


def test_severity_and_risk_of_every_type(tmp_path: Path) -> None:
    more = {"s": pa.array([1.0, 2.5, None]), "r": ["none", "implicit", "loud"]}
    pq.write_table(table(1, 2, 3, **more), tmp_path / "pool.parquet")
    manifest = pool(
        format="parquet",
        path=str(tmp_path / "pool.parquet"),
        columns={"severity": "s", "risk": "r"},
    )
    _, samples, rejects = read(tmp_path, manifest)
    assert [(s["severity"], s["risk"]) for s in samples] == [(1, "none")]
    assert [r["reason"] for r in rejects] == [
        "severity '2.5' is not a whole number",
        "risk 'loud' is none of none, explicit, implicit",
    ]


def test_meta_keeps_every_kind_of_value(tmp_path: Path) -> None:
    more = {
        "text": ['a "b" \\ c', "line\nbreak", None],
        "number": pa.array([1.5, float("nan"), None]),
        "whole": [1, 2, None],
        "truth": [True, False, None],
        "nested": [[1], [2, 3], None],
    }
    pq.write_table(table(1, 2, 3, **more), tmp_path / "pool.parquet")
    manifest = pool(
        format="parquet", path=str(tmp_path / "pool.parquet"), columns={"meta": list(more)}
    )
    _, samples, _ = read(tmp_path, manifest)
    assert [json.loads(s["meta"]) for s in samples] == [
        {"text": 'a "b" \\ c', "number": 1.5, "whole": 1, "truth": True, "nested": [1]},
        {"text": "line\nbreak", "number": None, "whole": 2, "truth": False, "nested": [2, 3]},
        {"text": None, "number": None, "whole": None, "truth": None, "nested": None},
    ]


def test_a_csv_of_500_pictures_reports_its_20_broken_rows(tmp_path: Path) -> None:
    put_pictures(tmp_path / "pictures", 480)
    with (tmp_path / "questions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "image"])
        for n in range(500):  # every 25th picture is missing
            broken, number = n % 25 == 24, n - n // 25
            writer.writerow([f"what is {n}?", f"{'gone' if broken else number}.png"])
    manifest = pool(
        format="csv", path=str(tmp_path / "questions.csv"), images=str(tmp_path / "pictures")
    )
    index, samples, rejects = read(tmp_path, manifest)
    assert (index.read, len(samples), len(rejects)) == (500, 480, 20)
    assert [r["row"] for r in rejects] == list(range(24, 500, 25))
    assert {r["reason"] for r in rejects} == {
        "no image 'gone.png' under the pool's folder of images"
    }


def test_an_embedded_image_keeps_no_path_of_the_machine_that_made_it(tmp_path: Path) -> None:
    paths = ["/home/someone/a.png", "C:\\b\\c.png", "folder/d.png", None]
    rows = [{"bytes": picture(n), "path": path} for n, path in enumerate(paths)]
    questions = pa.array(["q"] * 4)
    pq.write_table(
        pa.table({"question": questions, "image": pa.array(rows, IMAGE)}), tmp_path / "pool.parquet"
    )
    _, samples, _ = read(tmp_path, pool(format="parquet", path=str(tmp_path / "pool.parquet")))
    assert [s["image"]["path"] for s in samples] == ["a.png", "c.png", "folder/d.png", None]


def test_a_directory_with_one_file_of_another_split_is_refused(tmp_path: Path) -> None:
    table = pa.table({"question": ["what is it ?"], "image": images(picture())})
    pq.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    columns = {"question": "question", "image": "image"}
    held_out = pool(format="parquet", path=str(tmp_path), split="evaluation", columns=columns)
    with pytest.raises(UsageError, match="of split 'evaluation'"):
        read(tmp_path, held_out)
