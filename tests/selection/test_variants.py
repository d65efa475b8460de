"""Variants: rows beside a selection's samples, marked, and counted by nothing."""

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qibox.catalog.connect import reading
from qibox.errors import UsageError
from qibox.grpo.data import asked_as
from qibox.manifests.load import load_manifest
from qibox.manifests.recipe import RecipeManifest
from qibox.run.directory import Run
from qibox.selection.choose import choose
from qibox.selection.lineage import lineage
from qibox.selection.read import read_selection
from qibox.selection.request import OPEN_BOX, Request, Steering, by_box
from qibox.selection.screen import screened
from qibox.selection.write import write_selection
from tests.runs import png, sample, write_run

WORDINGS = """sample_id,question
a,What do you see in a ?
c,"And c, what is there ?"
a,Once more ?
else,No ?
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    rows = [
        sample(name, 5, 1 + at / 10, image=png(50 * at, (40, 30))) for at, name in enumerate("abc")
    ]
    return write_run(tmp_path / "run", [*rows, sample("d", 5, 2, image=None)])


def request(tmp_path: Path, **steering: Any) -> Request:
    (tmp_path / "wordings.csv").write_text(WORDINGS)
    given = {"augment": 2, "paraphrases": str(tmp_path / "wordings.csv")} | steering
    return by_box(OPEN_BOX, steering=Steering(**given))


def test_variants_follow_their_samples_and_are_marked(run: Run, tmp_path: Path) -> None:
    choice = screened(run, request(tmp_path))
    assert choice.chosen.to_pylist() == list("abcd")
    assert write_selection(run, choice)
    assert not write_selection(run, screened(run, request(tmp_path)))  # the very same is there
    with reading(run, ("selections",)) as connection:
        rows = connection.sql(
            "select sample_id, variant_of, variant, question, risk, quality from selections"
        ).fetchall()
    assert [row[:3] for row in rows] == [
        ("a", None, None),
        ("a~picture-1", "a", "picture"),
        ("a~picture-2", "a", "picture"),
        ("a~question-1", "a", "question"),
        ("a~question-2", "a", "question"),
        ("b", None, None),
        ("b~picture-1", "b", "picture"),
        ("b~picture-2", "b", "picture"),
        ("c", None, None),
        ("c~picture-1", "c", "picture"),
        ("c~picture-2", "c", "picture"),
        ("c~question-1", "c", "question"),
        ("d", None, None),  # it has no picture
    ]
    assert [row[3] for row in rows[1:5]] == [
        "what is in a ?",
        "what is in a ?",
        "What do you see in a ?",
        "Once more ?",
    ]
    assert {row[4:] for row in rows} == {("none", 5.0)}


def test_rows_are_trained_on_as_any(run: Run, tmp_path: Path) -> None:
    write_selection(run, screened(run, request(tmp_path)))
    table = read_selection(run.storage, "default")
    turns = dict(zip(table["sample_id"].to_pylist(), table["prompt"].to_pylist(), strict=True))
    assert turns["a~question-1"][0]["content"][1]["text"] == "Look. What do you see in a ?"
    assert turns["a~picture-1"] == turns["a"]
    pictures = dict(zip(table["sample_id"].to_pylist(), table["images"].to_pylist(), strict=True))
    assert pictures["a~question-1"] == pictures["a"] != pictures["a~picture-1"]
    recipe = load_manifest(RecipeManifest, "mini").model_copy(update={"prompt": "Say: {question}"})
    assert len(asked_as(recipe, table)) == len(table) == 13
    folder = run.storage.path("selections/default/data")
    loaded = datasets.load_dataset(
        "parquet", data_dir=folder, split="train", cache_dir=str(tmp_path / "c")
    )
    assert loaded[1]["images"][0].size[0] <= 40
    assert loaded[1]["variant_of"] == "a"


def test_lineage_and_card_tell_of_them_and_count_samples_alone(run: Run, tmp_path: Path) -> None:
    choice = screened(run, request(tmp_path))
    told = lineage(run, choice)
    assert told["chosen"] == 4
    assert told["augment"]["pictures"]["each"] == 2
    assert told["augment"]["paraphrases"]["questions"] == 3
    assert str(tmp_path) not in json.dumps(told)
    write_selection(run, choice)
    card = run.storage.read_text("selections/default/README.md")
    assert "4 image and question samples" in card
    assert "Beside the 4 samples there are 9 rows made of them" in card
    with pytest.raises(UsageError, match="with another augment"):
        write_selection(run, screened(run, request(tmp_path, augment=3)))
    plain = screened(run, request(tmp_path, augment=None, paraphrases=None))
    assert "augment" not in lineage(run, plain)
    assert plain.chosen == choice.chosen
    write_selection(run, plain, overwrite=True)
    file = run.storage.path("selections/default/data/train-00000-of-00001.parquet")
    assert "variant_of" not in pq.read_schema(file).names


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("sample_id,text\na,b\n", "has no column question"),
        ("sample_id,question\na, \n", "has an empty question"),
        ("sample_id,question\n", "is empty"),
        ("sample_id,question\nx,y\n", "words none of the 4 chosen samples otherwise"),
    ],
)
def test_other_files_are_refused(run: Run, tmp_path: Path, content: str, said: str) -> None:
    asked = request(tmp_path)
    (tmp_path / "wordings.csv").write_text(content)
    with pytest.raises(UsageError, match=said):
        choose(run, asked)


def test_wordings_come_as_parquet_too(run: Run, tmp_path: Path) -> None:
    pq.write_table(pa.table({"sample_id": ["b"], "question": ["b ?"]}), tmp_path / "w.parquet")
    choice = choose(run, request(tmp_path, augment=None, paraphrases=str(tmp_path / "w.parquet")))
    assert choice.augment is not None
    assert choice.augment.lineage["paraphrases"]["questions"] == 1
