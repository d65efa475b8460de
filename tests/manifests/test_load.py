import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from qibox.errors import UsageError
from qibox.manifests import (
    KINDS,
    BoxManifest,
    JudgeManifest,
    PanelManifest,
    PoolManifest,
    RecipeManifest,
    list_manifests,
    load_manifest,
)
from qibox.manifests.common import Manifest
from qibox.manifests.load import parse_manifest

PANEL: dict[str, Any] = {"name": "panel", "about": "a panel", "models": {"a": {"source": "x"}}}
JUDGE: dict[str, Any] = {"name": "judge", "about": "a judge", "kind": "oracle"}
BOX: dict[str, Any] = {
    "name": "box",
    "about": "a box",
    "q_low": {"value": 4},
    "q_high": {"quantile": 0.8},
    "u_min": {"value": 1.5},
}
POOL: dict[str, Any] = {"name": "pool", "about": "a pool", "format": "mini"}


def refusal(kind: type[Manifest], fields: dict[str, Any]) -> str:
    """The one sentence that refuses these fields."""
    with pytest.raises(UsageError) as caught:
        parse_manifest(kind, yaml.safe_dump(fields), "mine.yaml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("manifest mine.yaml: ")
    return message.removeprefix("manifest mine.yaml: ")


SHIPPED = [(kind, name) for kind in KINDS for name in list_manifests(kind)]


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_every_shipped_manifest_loads_under_its_own_name(kind: type[Manifest], name: str) -> None:
    manifest = load_manifest(kind, name)
    assert manifest.name == name
    assert manifest.about.endswith(".")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_miniature_or_an_oracle(kind: type[Manifest]) -> None:
    names = list_manifests(kind)
    assert names == sorted(names)
    assert ("oracle" if kind is JudgeManifest else "mini") in names


def test_a_path_is_read_as_a_file(tmp_path: Path) -> None:
    for suffix in (".yaml", ".yml"):
        path = tmp_path / f"mine{suffix}"
        path.write_text(yaml.safe_dump(BOX))
        box = load_manifest(BoxManifest, str(path))
        assert (box.q_low.value, box.q_high.quantile, box.u_min.value) == (4.0, 0.8, 1.5)


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(UsageError) as caught:
        load_manifest(PanelManifest, "mimi")
    shipped = ", ".join(list_manifests(PanelManifest))
    assert str(caught.value) == (
        f"no panel manifest named 'mimi': shipped ones are {shipped}; a path must end in .yaml"
    )


def test_a_path_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^no manifest at .*absent.yaml: check the path$"):
        load_manifest(PoolManifest, str(tmp_path / "absent.yaml"))
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(UsageError, match=r"folder.yaml cannot be read"):
        load_manifest(PoolManifest, str(tmp_path / "folder.yaml"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"binary.yaml cannot be read"):
        load_manifest(PoolManifest, str(tmp_path / "binary.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "manifest mine is not YAML at line 1: mend it and run again"),
        ("a: 1\nb: }", "manifest mine is not YAML at line 2: mend it and run again"),
        ("- 1", "manifest mine must be a mapping of fields, not list"),
        ("", "manifest mine must be a mapping of fields, not NoneType"),
        ("? [a, b]\n: 1", "manifest mine is not YAML at line 1: mend it and run again"),
        ("name: a\nname: b", "manifest mine has the field 'name' twice, at line 2: keep one"),
        (
            "models:\n  a: {source: x}\n  a: {source: y}",
            "manifest mine has the field 'a' twice, at line 3: keep one",
        ),
    ],
)
def test_text_that_is_no_manifest_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_manifest(PanelManifest, text, "mine")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (PanelManifest, {"name": "a", "about": ""}, "field 'models' is missing"),
        (PanelManifest, {**PANEL, "name": "Not An Id"}, "name: .*, not 'Not An Id'"),
        (PanelManifest, {**PANEL, "models": {}}, "models: .*at least 1"),
        (PanelManifest, {**PANEL, "models": {"A b": {"source": "x"}}}, "models.A b"),
        (PanelManifest, {**PANEL, "models": {"a": {}}}, "field 'models.a.source' is missing"),
        (
            PanelManifest,
            {**PANEL, "models": {"a": {"source": "x", "engine": "magic"}}},
            "models.a.engine: .*'transformers', 'vllm'.*, not 'magic'",
        ),
        (PanelManifest, {**PANEL, "prompt": "{q}"}, "prompt must contain {question}"),
        (PanelManifest, {**PANEL, "min_models": 2}, "min_models is 2 but 1 models exist"),
        (
            PanelManifest,
            {**PANEL, "min_responses": 9},
            "min_responses is 9 but sampling.samples is 5",
        ),
        (
            PanelManifest,
            {**PANEL, "sampling": {"samples": 0}},
            "sampling.samples: .*greater than or equal to 1, not 0",
        ),
        (PanelManifest, {**PANEL, "sampling": {"temperature": -1}}, "sampling.temperature: .*-1"),
        (
            PanelManifest,
            {**PANEL, "promt": "x", "prompt": "no"},
            "unknown field 'promt' (allowed: name, about,",
        ),
        (JudgeManifest, {**JUDGE, "kind": "crystal"}, "kind: .*'oracle'.*, not 'crystal'"),
        (JudgeManifest, {**JUDGE, "kind": "generative"}, "a generative judge needs a model"),
        (JudgeManifest, {**JUDGE, "kind": "pairwise"}, "a pairwise judge needs a model"),
        (JudgeManifest, {**JUDGE, "kind": "replay"}, "a replay judge needs a path"),
        (JudgeManifest, {**JUDGE, "rubric": "x"}, "a judge of kind oracle takes no rubric"),
        (JudgeManifest, {**JUDGE, "form": "x"}, "a judge of kind oracle takes no form"),
        (JudgeManifest, {**JUDGE, "sampling": {"samples": 2}}, "a judge's sampling has one sample"),
        (
            JudgeManifest,
            {**JUDGE, "weights": {"harmlessness": 0, "helpfulness": 0}},
            "weights: the weights of harmlessness, helpfulness must not all be 0",
        ),
        (BoxManifest, {**BOX, "q_low": {}}, "q_low: an edge is either a value or a quantile"),
        (
            BoxManifest,
            {**BOX, "u_min": {"value": 1, "quantile": 0.5}},
            "u_min: an edge is either a value or a quantile",
        ),
        (BoxManifest, {**BOX, "q_high": {"quantile": 1.5}}, "q_high.quantile: .*, not 1.5"),
        (BoxManifest, {**BOX, "limit": 0}, "limit: .*, not 0"),
        (PoolManifest, {"name": "pool", "about": ""}, "a pool has either a format or parts"),
        (PoolManifest, {**POOL, "parts": ["mini"]}, "a pool has either a format or parts"),
        (PoolManifest, {**POOL, "shard_size": 0}, "shard_size: .*, not 0"),
        (PoolManifest, {**POOL, "format": "xml"}, "format: .*'jsonl'.*, not 'xml'"),
        (RecipeManifest, {"name": "r", "about": ""}, "field 'policy' is missing; field 'rollout'"),
    ],
)
def test_each_field_that_does_not_hold_is_named_in_one_sentence(
    kind: type[Manifest], fields: dict[str, Any], message: str
) -> None:
    said = refusal(kind, fields)
    pattern = ".*".join(re.escape(part) for part in re.split(r"\.\*", message))
    assert re.search(pattern, said), said


def test_all_faults_are_named_at_once() -> None:
    said = refusal(BoxManifest, {**BOX, "limit": 0, "rank": "luck", "extra": 1})
    assert [part.split(":")[0] for part in said.split("; ")] == [
        "limit",
        "rank",
        "unknown field 'extra' (allowed",
    ]


def test_values_that_hold_are_kept_and_frozen() -> None:
    panel = parse_manifest(PanelManifest, yaml.safe_dump(PANEL), "mine")
    assert list(panel.models) == ["a"]
    assert panel.sampling.samples == 5
    with pytest.raises(ValueError, match="frozen"):
        panel.prompt = "other"


def test_only_a_pairwise_judge_compares() -> None:
    assert not JudgeManifest.model_validate(JUDGE).compares
    grm = {**JUDGE, "model": {"source": "x"}}
    assert not JudgeManifest.model_validate({**grm, "kind": "generative"}).compares
    assert JudgeManifest.model_validate({**grm, "kind": "pairwise"}).compares
