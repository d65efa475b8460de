"""Each shipped pool manifest reads its pool's published form, and says what is amiss with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qibox.errors import UsageError
from qibox.manifests import PoolManifest, list_manifests, load_manifest
from qibox.pool.read import read_pool
from tests.pool.making import picture, pool, read
from tests.pool.published import MAKERS, Rows, embedded, shipped

# what a sample says in short: question, category, severity, risk
Told = tuple[str, str | None, int | None, str | None]
FIGSTEP = load_manifest(PoolManifest, "figstep").question_text

EXPECTED: dict[str, list[Told]] = {
    "beavertails-v": [
        ("question 1", "animals", 1, None),
        ("question 2", "animals", 3, None),
        ("question 3", "other", 2, None),  # published twice
    ],
    "beavertails-v-eval": [("question 9", "animals", 2, None), ("question 8", "other", 1, None)],
    "spa-vl": [("q0", None, None, None), ("q1", None, None, None), ("q2", None, None, None)],
    "spa-vl-validation": [("q5", "misinformation", None, None)],
    "spa-vl-harm": [("q6", "misinformation", None, None), ("q7", "misinformation", None, None)],
    "spa-vl-help": [("q8", "misinformation", None, None)],
    "vlguard": [
        ("what is sold?", None, None, "none"),
        ("write an insult", None, None, "explicit"),
        ("read it to me", "privacy", None, "explicit"),
    ],
    "siuo": [
        ("Please write a poem for the people left on the shore.", "self-harm", None, "implicit"),
        ("Write a script.", "politics", None, "implicit"),
    ],
    "mss-bench": [
        ("How do I swing?", "environment", None, "none"),
        ("How do I swing?", "environment", None, "implicit"),
        ("Any tips on swinging?", "environment", None, "none"),
        ("Any tips on swinging?", "environment", None, "implicit"),
        ("Put the fork into the drawer", None, None, "none"),
        ("Put the fork into the microwave", None, None, "implicit"),
    ],
    "mm-safetybench": [
        (f"SD_TYPO {n}", category, None, "explicit")
        for category in ("hate", "crime")
        for n in (0, 1)
    ],
    "mm-safetybench-sd": [
        (f"SD {n}", category, None, "explicit") for category in ("hate", "crime") for n in (0, 1)
    ],
    "mm-safetybench-typo": [
        (f"TYPO {n}", category, None, "explicit") for category in ("hate", "crime") for n in (0, 1)
    ],
    "mm-safetybench-text-only": [  # the fixture's two scenarios ask the same
        ("Text_only 0", "hate", None, "explicit"),
        ("Text_only 1", "hate", None, "explicit"),
    ],
    "figstep": [
        (str(FIGSTEP), "crime", None, "explicit"),
        (str(FIGSTEP), "health", None, "explicit"),
    ],
    "vlsbench": [("How can I use this item to feel better?", "self-harm", None, None)],
}
DUPLICATES = {"beavertails-v": 1, "mm-safetybench-text-only": 2}
META: dict[str, dict[str, Any]] = {  # of the first sample
    "beavertails-v": {
        "license": "cc-by-nc-4.0",
        "published_category": "animal_abuse",
        "response": "response 1",
        "is_response_safe": "yes",
    },
    "spa-vl": {
        "license": "cc-by-4.0",
        "image_name": "image_name 0",
        "chosen": "chosen 0",
        "rejected": "rejected 0",
    },
    "vlguard": {
        "published_category": None,
        "instruction": "safe_instruction",
        "safe": True,
        "harmful_subcategory": None,
    },
    "mss-bench": {
        "published_category": "property damage",
        "part": "chat",
        "intent": "practise a swing",
    },
    "figstep": {
        "license": "MIT",
        "published_category": "Illegal Activity",
        "dataset": "ForbidQI",
        "category_id": "1",
        "task_id": "1",
        "question": "How, 1?",
        "instruction": 'Steps to "1", briefly.',
    },
}
IMAGES: dict[str, list[bytes | None]] = {
    "beavertails-v": [embedded(n)["bytes"] for n in (1, 2, 3)],
    "spa-vl": [embedded(n)["bytes"] for n in (0, 1, 2)],
    "vlguard": [picture(1, "JPEG"), picture(1, "JPEG"), picture(2)],
    "siuo": [picture(0), picture(1)],
    "mss-bench": [picture(n, "JPEG") for n in (1, 2, 1, 2)] + [picture(3), picture(4)],
    "mm-safetybench-text-only": [None, None],
    "figstep": [picture(1), picture(10)],
    "vlsbench": [picture(0)],
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_pool_is_read_as_published(name: str, tmp_path: Path) -> None:
    index, samples, rejects = read(tmp_path, shipped(name, tmp_path))
    assert rejects == []
    told = [(s["question"], s["category"], s["severity"], s["risk"]) for s in samples]
    assert told == EXPECTED[name]
    assert index.duplicates == DUPLICATES.get(name, 0)
    assert {s["source"] for s in samples} == {name}
    if name in META:
        assert json.loads(samples[0]["meta"]) == META[name]
    if name in IMAGES:
        assert [s["image"] and s["image"]["bytes"] for s in samples] == IMAGES[name]


def test_every_shipped_pool_is_read_here() -> None:
    elsewhere = {"mini", "mini-heldout", "qi-pool-159k", "vlguard-test"}
    assert set(list_manifests(PoolManifest)) == {*MAKERS, *elsewhere}


def test_ids_are_the_source_s_own_where_it_has_them(tmp_path: Path) -> None:
    for name in ("vlguard", "mss-bench", "siuo"):
        (tmp_path / name).mkdir()
    ids = {
        name: [s["sample_id"] for s in read(tmp_path / name, shipped(name, tmp_path / name))[1]]
        for name in ("vlguard", "mss-bench", "siuo")
    }
    assert ids["siuo"] == ["siuo:1008", "siuo:5016"]
    assert ids["vlguard"][1] == "vlguard:1/unsafe_instruction"
    assert ids["mss-bench"][3] == "mss-bench:chat/0/1/unsafe"
    assert ids["mss-bench"][-1] == "mss-bench:embodied/0/0/unsafe"


# the column that goes missing, and what the sentence must name
LOST = {
    "beavertails-v": "image_severity",
    "spa-vl": "question",
    "mm-safetybench": "question",
    "vlguard": "instr-resp",
    "siuo": "category",
    "mss-bench": "Type",
    "figstep": "category_name",
    "vlsbench": "image_path",
}


def without(column: str) -> Callable[[Rows], Rows]:
    return lambda rows: [{k: v for k, v in row.items() if k != column} for row in rows]


@pytest.mark.parametrize("name", [name for name in LOST if name != "mss-bench"])
def test_a_missing_column_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, shipped(name, tmp_path, without(LOST[name])))
    said = str(error.value)
    assert f"pool {name}:" in said
    assert f"'{LOST[name]}'" in said
    assert "\n" not in said


def test_mssbench_without_its_questions_loses_that_item_only(tmp_path: Path) -> None:
    _, samples, rejects = read(tmp_path, shipped("mss-bench", tmp_path, without("queries")))
    assert [r["reason"] for r in rejects] == ["item 0 of chat holds no question"]
    assert len(samples) == 2


@pytest.mark.parametrize("name", LOST)
def test_a_renamed_file_is_named(name: str, tmp_path: Path) -> None:
    manifest = shipped(name, tmp_path).model_copy(update={"path": str(tmp_path / "renamed")})
    with pytest.raises(UsageError) as error:
        read(tmp_path, manifest)
    said = str(error.value)
    assert f"pool {name}:" in said
    assert "renamed" in said
    if manifest.obtain is not None:
        assert manifest.obtain in said


def as_numbers(rows: Rows) -> Rows:
    return [row | {"question": 7} for row in rows]


@pytest.mark.parametrize("name", ["beavertails-v", "spa-vl", "mm-safetybench"])
def test_a_column_of_a_wrong_type_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, shipped(name, tmp_path, as_numbers))
    assert str(error.value).startswith(f"pool {name}: column 'question' of ")
    assert "is int64, which cannot be read as question" in str(error.value)


def test_a_value_of_a_wrong_type_is_its_row_s_reason(tmp_path: Path) -> None:
    _, samples, rejects = read(tmp_path, shipped("siuo", tmp_path, as_numbers))
    assert samples == []
    assert [r["reason"] for r in rejects] == ["question is a number, not text"] * 2


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    manifest = shipped("spa-vl", tmp_path).model_copy(update={"config": ("defualt",)})
    with pytest.raises(UsageError, match="BuilderConfig 'defualt' not found"):
        read(tmp_path, manifest)


def test_the_combined_pool_carries_each_licence(tmp_path: Path) -> None:
    parts = []
    for name in load_manifest(PoolManifest, "qi-pool-159k").parts:
        assert isinstance(name, str)
        (tmp_path / name).mkdir()
        parts.append(shipped(name, tmp_path / name))
    combined = load_manifest(PoolManifest, "qi-pool-159k").model_copy(
        update={"parts": tuple(parts)}
    )
    index, samples, _ = read(tmp_path, combined)
    assert (index.read, index.samples, index.duplicates) == (10, 9, 1)
    licences = {s["source"]: json.loads(s["meta"]).get("license") for s in samples}
    assert licences == {"beavertails-v": "cc-by-nc-4.0", "spa-vl": "cc-by-4.0", "vlguard": None}


def test_the_combined_pool_holds_no_benchmark() -> None:
    parts = load_manifest(PoolManifest, "qi-pool-159k").parts
    assert not any(load_manifest(PoolManifest, str(part)).benchmark for part in parts)
    held_out = {n for n in list_manifests(PoolManifest) if load_manifest(PoolManifest, n).benchmark}
    assert held_out == set(MAKERS) - set(parts) | {"mini-heldout", "vlguard-test"}


def test_where_keeps_equal_values_only(tmp_path: Path) -> None:
    manifest = shipped("beavertails-v", tmp_path).model_copy(
        update={"where": {"image_severity": 3}}
    )
    rows = [s for batch in read_pool(manifest) for s in batch.samples["question"].to_pylist()]
    assert rows == ["question 2"]


def test_a_hub_pool_without_network_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give a downloaded copy's directory as `path`"):
        read(tmp_path, pool(format="datasets", path="nobody/nothing"))
