"""Prompts that are too long are left out and told of, counted as the policy reads them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from qibox.cli.main import cli
from qibox.errors import UsageError
from qibox.grpo.configuring import load_processor
from qibox.grpo.data import training_dataset
from qibox.grpo.lengths import picture_tokens, prompt_lengths, short_enough, written_after
from qibox.manifests import RecipeManifest
from qibox.run.directory import Run
from qibox.tables import SELECTION
from tests.grpo.conftest import selection_table

SIZES = [(84, 84), (196, 84), (28, 140), (84, 84)]


def picture(width: int, height: int, orientation: int = 1) -> bytes:
    data, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (width, height), "teal").save(data, "JPEG", exif=exif)
    return data.getvalue()


@pytest.fixture
def selection() -> pa.Table:
    """Four samples whose pictures differ in size, the third one lying on its side, and one bare."""
    rows = selection_table(5).to_pylist()
    for row, size in zip(rows, SIZES, strict=False):
        row["images"] = [{"bytes": picture(*size, 6 if size == SIZES[2] else 1), "path": None}]
    rows[4]["images"] = []
    rows[4]["prompt"][0]["content"] = rows[4]["prompt"][0]["content"][1:]
    return pa.Table.from_pylist(rows, schema=SELECTION)


@pytest.fixture
def processor(recipe: RecipeManifest) -> Any:
    return load_processor(recipe)


def read(selection: pa.Table, processor: Any) -> list[int]:
    """Lengths as the processor itself makes them of the very prompts that are trained on."""
    lengths = []
    for row in training_dataset(selection, processor.tokenizer):
        text = processor.apply_chat_template(row["prompt"], add_generation_prompt=True)
        ids = processor(text=[text], images=row["images"] or None)["input_ids"]
        lengths.append(len(ids[0]))
    return lengths


def test_a_prompt_is_as_long_as_the_processor_makes_it(selection: pa.Table, processor: Any) -> None:
    found = prompt_lengths(selection, processor)
    assert found.tolist() == read(selection, processor)
    assert len(set(found.tolist())) >= 4


def test_a_processor_that_tells_no_numbers_is_shown_pictures_of_those_sizes(
    processor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = picture_tokens(set(SIZES), processor)
    assert told == {(84, 84): 9, (196, 84): 21, (28, 140): 5}
    monkeypatch.delattr(type(processor), "_get_num_multimodal_tokens")
    assert picture_tokens(set(SIZES), processor) == told


def test_smaller_pictures_are_shorter_and_the_saved_processor_makes_them_so_too(
    selection: pa.Table, recipe: RecipeManifest, processor: Any, tmp_path: Path
) -> None:
    small = recipe.model_copy(update={"max_pixels": 56 * 56, "min_pixels": 28 * 56})
    shrunk = load_processor(small)
    found = prompt_lengths(selection, shrunk)
    assert found.tolist() == read(selection, shrunk)
    assert (found < prompt_lengths(selection, processor))[:2].all()
    shrunk.save_pretrained(tmp_path)
    again = load_processor(recipe.model_copy(update={"policy": str(tmp_path)}))
    assert prompt_lengths(selection, again).tolist() == found.tolist()
    with pytest.raises(ValueError, match="min_pixels 9 is more than max_pixels 8"):
        RecipeManifest.model_validate(recipe.model_dump() | {"min_pixels": 9, "max_pixels": 8})


def test_the_limit_is_the_recipes_or_what_the_context_leaves(
    selection: pa.Table, recipe: RecipeManifest, processor: Any
) -> None:
    lengths = np.array(read(selection, processor))
    after = written_after(processor, recipe)
    assert after > 2 * 40 + 24  # draft, correction, reflection, and the two turns put in between
    middle = int(np.median(lengths))
    for limited, context in (
        (recipe.model_copy(update={"max_prompt_tokens": middle}), 512),
        (recipe, middle + after),
    ):
        kept, left = short_enough(selection, processor, limited, context)
        assert kept["sample_id"].to_pylist() == [
            name
            for name, fits in zip(
                selection["sample_id"].to_pylist(), lengths <= middle, strict=True
            )
            if fits
        ]
        assert left is not None
        assert len(left.sample_ids) + len(kept) == len(selection)
        assert (left.limit, left.longest) == (middle, lengths.max())
    assert short_enough(selection, processor, recipe, 512) == (selection, None)
    assert short_enough(selection, processor, recipe, None) == (selection, None)
    with pytest.raises(UsageError, match=r"5 of 5 samples left out.*0 remain, fewer than"):
        short_enough(selection, processor, recipe, 20)


def test_a_training_says_in_its_plan_and_its_lineage_what_it_leaves_out(
    run: Run, recipe: RecipeManifest, processor: Any, tmp_path: Path
) -> None:
    table = selection_table(8)
    lengths = prompt_lengths(table, processor)
    limit = int(np.median(lengths))
    long = [
        name
        for name, length in zip(table["sample_id"].to_pylist(), lengths, strict=True)
        if length > limit
    ]
    assert 0 < len(long) < 7
    path = tmp_path / "short.yaml"
    limited = recipe.model_copy(update={"max_prompt_tokens": limit, "judge": "hash"})
    path.write_text(yaml.safe_dump(limited.model_dump(mode="json", exclude_unset=True)))
    command = ["train", run.storage.url, "--recipe", str(path), "--name", "short"]
    says = f"{len(long)} of 8 samples left out: their prompts have more than {limit} tokens"

    planned = CliRunner().invoke(cli, [*command, "--dry-run"], catch_exceptions=False)
    assert says in planned.stdout
    yaml.safe_load(planned.stdout)  # the rest is a plan still
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert says in " ".join(done.stderr.split())
    left = yaml.safe_load(run.storage.read_text("policies/short/policy.yaml"))["left_out"]
    assert left["sample_ids"] == long
    assert (left["samples"], left["limit"], left["why"]) == (len(long), limit, "max_prompt_tokens")
    (file,) = run.storage.files("policies/short/rollouts")
    trained = set(run.storage.read_table(file)["sample_id"].to_pylist())
    assert trained
    assert not trained & set(long)
