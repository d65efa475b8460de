"""The shard as its readers see it: the datasets library, TRL and plain Parquet."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from qibox.run.directory import Run
from qibox.selection import shard as shard_module
from qibox.selection.choose import choose
from qibox.selection.prompting import prompts
from qibox.selection.request import OPEN_BOX, by_box
from qibox.selection.shard import write_shard
from qibox.selection.write import write_selection
from qibox.tables import IMAGE, SELECTION
from tests.runs import png, sample, write_run

Rows = list[dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four samples in two shards: with a picture, without scores, with text only, with braces."""
    rows = [
        sample("z", 5.5, 2.5, image=png(200, (6, 4)), risk="implicit", severity=None),
        sample("y", None, None),
        sample("x", 6.0, 1.25, image=None, category=None),
        sample("w", 7.0, 0.5, question="a {question} | b", risk=None),
    ]
    return write_run(tmp_path / "run", rows, shard_size=2)


@pytest.fixture
def selection(run: Run) -> Path:
    write_selection(run, choose(run, by_box(OPEN_BOX)))
    return Path(run.storage.path("selections/default"))


def rows_of(folder: Path) -> Rows:
    files = sorted((folder / "data").glob("*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def test_rows_are_in_the_pools_order_with_their_own_scores(selection: Path) -> None:
    rows = rows_of(selection)
    assert [(r["sample_id"], r["quality"], r["instability"]) for r in rows] == [
        ("z", 5.5, 2.5),
        ("x", 6.0, 1.25),
        ("w", 7.0, 0.5),
    ]
    assert [(r["risk"], r["category"], r["severity"]) for r in rows] == [
        ("implicit", "fire", None),
        ("none", None, 1),
        (None, "fire", 1),
    ]


def test_the_prompt_is_one_user_turn_the_picture_first(selection: Path) -> None:
    picture, text_only, braces = (row["prompt"] for row in rows_of(selection))
    image_part = {"type": "image", "text": None}
    question = {"type": "text", "text": "Look. what is in z ?"}
    assert picture == [{"role": "user", "content": [image_part, question]}]
    alone = {"type": "text", "text": "Look. what is in x ?"}
    assert text_only == [{"role": "user", "content": [alone]}]
    assert braces[0]["content"][1]["text"] == "Look. a {question} | b"


def test_what_a_panel_says_to_the_system_is_a_turn_of_its_own() -> None:
    questions = pa.array(["why", "how"])
    images = pa.array([{"bytes": b"x", "path": None}, None], IMAGE)
    turns = prompts(questions, images, "Look. {question}", "Think first.").to_pylist()
    said = {
        "role": "system", "content": [{"type": "text", "text": "Think first."}]
    }  # fmt: skip
    assert turns == [
        [said, *prompts(questions, images, "Look. {question}").to_pylist()[0]],
        [said, {"role": "user", "content": [{"type": "text", "text": "Look. how"}]}],
    ]


def test_the_datasets_library_decodes_the_pools_pictures(
    selection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    loaded = datasets.load_dataset(str(selection), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    rows = loaded["train"]
    assert rows.column_names == SELECTION.names
    assert rows.features["images"] == datasets.List(datasets.Image())
    assert [len(images) for images in rows["images"]] == [1, 0, 1]
    (picture,) = rows[0]["images"]
    original = Image.open(io.BytesIO(png(200, (6, 4))))
    assert picture.size == (6, 4)
    assert picture.convert("RGB").tobytes() == original.convert("RGB").tobytes()


def test_trl_puts_the_picture_into_the_prompt(
    selection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from qibox.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    import datasets
    from trl.data_utils import is_conversational, prepare_multimodal_messages

    rows = datasets.load_dataset(str(selection), cache_dir=str(tmp_path / "cache"))["train"]
    assert is_conversational(rows[0])
    (turn,) = prepare_multimodal_messages(rows[0]["prompt"], images=rows[0]["images"])
    assert [part["type"] for part in turn["content"]] == ["image", "text"]
    assert turn["content"][0]["image"].size == (6, 4)
    (turn,) = prepare_multimodal_messages(rows[1]["prompt"], images=rows[1]["images"])
    assert [part["type"] for part in turn["content"]] == ["text"]


def test_the_same_choice_gives_the_same_bytes(run: Run, selection: Path) -> None:
    (file,) = (selection / "data").iterdir()
    before = file.read_bytes()
    write_shard(run, choose(run, by_box(OPEN_BOX)).chosen, "selections/again")
    assert (selection.parent / "again/data" / file.name).read_bytes() == before


def test_rows_are_cut_into_files_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_module, "ROWS_PER_FILE", 4)
    rows = [sample(f"s{i}", 5, 2) for i in range(9)]
    run = write_run(tmp_path, rows, shard_size=3)
    chosen = pa.array([f"s{i}" for i in range(9)])
    done: list[int] = []
    write_shard(run, chosen, "selections/s", done.append)
    names = [Path(name).name for name in run.storage.files("selections/s/data")]
    assert names == [f"train-0000{i}-of-00003.parquet" for i in range(3)]
    assert done == [4, 4, 1]
    written = rows_of(Path(run.storage.path("selections/s")))
    assert [row["sample_id"] for row in written] == chosen.to_pylist()
