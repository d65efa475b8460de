from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qibox.manifests import JudgeManifest, ModelSpec, PanelManifest
from qibox.run.units import digest, judgments_key, responses_key, scores_key, shard_key
from qibox.tables import POOL

ROWS: list[dict[str, Any]] = [
    {
        "sample_id": f"s{i}",
        "question": "q" * i,
        "image": None if i == 2 else {"bytes": b"\x00" * i, "path": None},
        "severity": None if i % 2 else i,
    }
    for i in range(6)
]
SAMPLES = pa.Table.from_pylist(ROWS, schema=POOL)


def panel(**changes: Any) -> PanelManifest:
    fields = {
        "name": "panel",
        "about": "",
        "models": {"a": {"source": "x"}, "b": {"source": "y"}},
        "sampling": {"samples": 5, "seed": 0},
    }
    return PanelManifest.model_validate({**fields, **changes})


def judge(**changes: Any) -> JudgeManifest:
    return JudgeManifest.model_validate({"name": "j", "about": "", "kind": "oracle", **changes})


def test_a_digest_is_of_the_value_not_of_its_order() -> None:
    assert digest({"b": 1, "a": [1, 2]}) == digest({"a": [1, 2], "b": 1})
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})
    assert digest("猫") != digest("cat")
    assert len(digest(None)) == 64


@given(st.lists(st.integers(0, 6), max_size=4).map(sorted))
def test_a_shards_key_ignores_how_it_lies_in_memory(cuts: list[int]) -> None:
    edges = [0, *cuts, 6]
    pieces = [SAMPLES.slice(a, b - a) for a, b in pairwise(edges)]
    assert shard_key(pa.concat_tables(pieces)) == shard_key(SAMPLES)


def test_a_shards_key_is_of_the_values_alone() -> None:
    rebuilt = pa.Table.from_pylist(ROWS[1:4], schema=POOL)
    assert shard_key(SAMPLES.slice(1, 3)) == shard_key(rebuilt)
    assert shard_key(SAMPLES.replace_schema_metadata({"a": "b"})) == shard_key(SAMPLES)
    # What lies under a null is nobody's value.
    buffers = pa.array([1, 7], pa.int32()).buffers()[1]
    for other in (pa.array([1, None], pa.int32()), pa.array([1, 0], pa.int32())):
        validity = pa.py_buffer(b"\x01")
        hidden = pa.Array.from_buffers(pa.int32(), 2, [validity, buffers])
        same = shard_key(pa.table({"a": hidden})) == shard_key(pa.table({"a": other}))
        assert same == (other.null_count == 1)


@pytest.mark.parametrize(
    "change",
    [
        {"sample_id": "other"},
        {"question": None},
        {"question": "qq"},
        {"image": None},
        {"image": {"bytes": b"\x01", "path": None}},
        {"image": {"bytes": b"\x00", "path": ""}},
        {"severity": 0},
        {"meta": "{}"},
    ],
)
def test_any_value_changes_a_shards_key(change: dict[str, Any]) -> None:
    rows = [{**row, **change} if i == 1 else row for i, row in enumerate(ROWS)]
    assert shard_key(pa.Table.from_pylist(rows, schema=POOL)) != shard_key(SAMPLES)


def test_order_number_and_division_of_rows_change_a_shards_key() -> None:
    keys = {
        shard_key(SAMPLES),
        shard_key(SAMPLES.take([1, 0, 2, 3, 4, 5])),
        shard_key(SAMPLES.slice(1)),
        shard_key(SAMPLES.slice(0, 0)),
        shard_key(pa.table({"a": ["xy", "z"]})),
        shard_key(pa.table({"a": ["x", "yz"]})),
        shard_key(pa.table({"a": ["x", "yz"], "b": ["", ""]})),
    }
    assert len(keys) == 7


def test_responses_change_with_what_determines_them() -> None:
    spec = ModelSpec(source="x")
    base = responses_key("shard", "a", spec, panel())
    changed = [
        responses_key("other", "a", spec, panel()),
        responses_key("shard", "b", spec, panel()),
        responses_key("shard", "a", ModelSpec(source="z"), panel()),
        responses_key("shard", "a", ModelSpec(source="x", revision="1"), panel()),
        responses_key("shard", "a", ModelSpec(source="x", system="be safe"), panel()),
        responses_key("shard", "a", ModelSpec(source="x", engine="vllm"), panel()),
        responses_key("shard", "a", spec, panel(prompt="Look. {question}")),
        *[
            responses_key("shard", "a", spec, panel(sampling={"samples": 5, "seed": 0, **change}))
            for change in ({"samples": 4}, {"temperature": 0.5}, {"max_tokens": 7}, {"seed": 1})
        ],
    ]
    assert base not in changed
    assert len(set(changed)) == len(changed)


def test_responses_do_not_change_with_what_does_not_determine_them() -> None:
    base = responses_key("shard", "a", ModelSpec(source="x"), panel())
    placed = ModelSpec.model_validate({"source": "x", "size_b": 3, "accelerator": {"type": "gpu"}})
    assert responses_key("shard", "a", placed, panel()) == base
    for change in (
        {"name": "other", "about": "words", "source": "elsewhere"},
        {"min_models": 2, "min_responses": 3},
        {"models": {"a": {"source": "x"}, "c": {"source": "new"}}},
    ):
        assert responses_key("shard", "a", ModelSpec(source="x"), panel(**change)) == base


def test_judgments_change_with_what_determines_them() -> None:
    grm = {"kind": "generative", "model": {"source": "grm"}}
    keys = [
        judgments_key("responses", judge()),
        judgments_key("other", judge()),
        judgments_key("responses", judge(name="k")),
        judgments_key("responses", judge(kind="hash")),
        judgments_key("responses", judge(weights={"answer": 0.9})),
        judgments_key("responses", judge(**grm)),
        judgments_key("responses", judge(**{**grm, "model": {"source": "grm", "revision": "2"}})),
        judgments_key("responses", judge(**grm, rubric="{question} {response}")),
        judgments_key("responses", judge(**grm, sampling={"max_tokens": 7, "temperature": 0})),
        judgments_key("responses", judge(kind="replay", path="p", revision="1")),
        judgments_key("responses", judge(kind="replay", path="p", revision="2")),
    ]
    assert len(set(keys)) == len(keys)


def test_judgments_do_not_change_with_words_about_the_judge() -> None:
    base = judgments_key("responses", judge())
    assert judgments_key("responses", judge(about="words", source="s")) == base
    grm = {"kind": "generative", "model": {"source": "grm"}}
    placed = {"kind": "generative", "model": {"source": "grm", "size_b": 7}}
    assert judgments_key("r", judge(**grm)) == judgments_key("r", judge(**placed))


def test_a_shards_other_responses_count_where_the_judge_compares_them() -> None:
    grm = {"model": {"source": "grm"}}
    pairwise, generative = judge(kind="pairwise", **grm), judge(kind="generative", **grm)
    assert judgments_key("r", pairwise, ["r", "s"]) == judgments_key("r", pairwise, ["s", "r"])
    assert judgments_key("r", pairwise, ["r", "s"]) != judgments_key("r", pairwise, ["r", "t"])
    assert judgments_key("r", generative, ["r", "s"]) == judgments_key("r", generative, ["r", "t"])


def test_scores_change_with_judgments_and_limits_and_not_with_their_order() -> None:
    base = scores_key(["j1", "j2"], panel())
    assert scores_key(["j2", "j1"], panel()) == base
    assert scores_key(["j1", "j2"], panel(prompt="Other {question}")) == base
    changed = {
        scores_key(["j1"], panel()),
        scores_key(["j1", "j3"], panel()),
        scores_key(["j1", "j2"], panel(min_models=2)),
        scores_key(["j1", "j2"], panel(min_responses=2)),
    }
    assert base not in changed
    assert len(changed) == 4
