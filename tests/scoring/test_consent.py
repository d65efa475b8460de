import pytest

from qibox.engines.settings import KINDS
from qibox.errors import UsageError
from qibox.run.directory import RunManifest
from qibox.run.units import OPERATIONS, PLACEMENT
from qibox.scoring.consent import Difference, check_consent, compare
from tests.recordings import HASH
from tests.scoring.making import POOL, manifest, panel


def test_the_same_manifest_does_not_differ() -> None:
    assert compare(manifest(), manifest()) == []
    words = POOL.model_copy(update={"about": "said otherwise", "source": "somebody"})
    assert compare(manifest(), manifest(pool=words)) == []
    versions = manifest().model_copy(update={"versions": {"torch": "9"}})
    assert compare(manifest(), versions) == []


@pytest.mark.parametrize(
    ("changed", "key", "stage"),
    [
        (manifest(pool=POOL.model_copy(update={"shard_size": 7})), "pool.shard_size", "pool"),
        (manifest().model_copy(update={"limit": 3}), "limit", "pool"),
        (manifest(prompt="Look: {question}"), "panel.prompt", "responses"),
        (manifest(sampling={"samples": 5, "seed": 1}), "panel.sampling.seed", "responses"),
        (manifest(min_models=2), "panel.min_models", "scores"),
        (
            manifest(judges=[HASH.model_copy(update={"safe_from": 5.0})]),
            "judges.hash.safe_from",
            "judgments",
        ),
    ],
)
def test_each_key_touches_its_stage(changed: RunManifest, key: str, stage: str) -> None:
    (difference,) = compare(manifest(), changed)
    assert (difference.key, difference.stage) == (key, stage)


def test_a_model_more_or_less_is_one_difference() -> None:
    fewer = manifest(models={"a": {"source": "x"}, "b": {"source": "y"}, "d": {"source": "z"}})
    assert compare(manifest(), fewer) == [
        Difference("panel.models.c", "there", "absent", "responses"),
        Difference("panel.models.d", "absent", "there", "responses"),
    ]


def test_where_a_model_runs_is_free_to_change() -> None:
    there = {"source": "x", "accelerator": {"type": "nvidia-l4"}, "size_b": 7}
    moved = manifest(models={**panel().model_dump()["models"], "a": there})
    differences = compare(manifest(), moved)
    assert {d.key for d in differences} >= {"panel.models.a.size_b"}
    assert {d.stage for d in differences} == {None}
    check_consent(differences, None, "runs/x")


def test_where_the_same_weights_lie_is_free_to_change() -> None:
    here = {"source": "here", "revision": "sha256:1"}
    there = {"source": "there", "revision": "sha256:1"}
    other = {"source": "there", "revision": "sha256:2"}
    before = manifest(models={"a": here}, min_models=1)
    assert compare(before, manifest(models={"a": there}, min_models=1)) == []
    found = compare(before, manifest(models={"a": other}, min_models=1))
    assert [d.key for d in found] == ["panel.models.a.revision", "panel.models.a.source"]


def test_the_order_of_judges_matters() -> None:
    other = HASH.model_copy(update={"name": "other"})
    found = compare(manifest(judges=[HASH, other]), manifest(judges=[other, HASH]))
    assert [(d.key, d.stage) for d in found] == [("judges", "judgments")]


def test_consent_covers_the_stages_after_it() -> None:
    differences = compare(manifest(), manifest(prompt="Look: {question}", min_models=2))
    for stage in ("pool", "responses"):
        check_consent(differences, stage, "runs/x")
    for stage in ("judgments", "scores", None):
        with pytest.raises(UsageError) as refused:
            check_consent(differences, stage, "runs/x")  # type: ignore[arg-type]
    said = str(refused.value)
    assert "runs/x has another manifest" in said
    assert "panel.prompt was {question} and is now Look: {question}" in said
    assert "panel.min_models was 3 and is now 2" in said
    assert "another --out" in said
    assert "--rescore responses" in said


def test_how_hard_an_engine_is_tried_is_free_to_change() -> None:
    tried = {"source": "x", "settings": {"retries": 5, "start_timeout_s": 9.0}}
    moved = manifest(models={**panel().model_dump()["models"], "a": tried})
    differences = compare(manifest(), moved)
    assert differences
    assert {d.stage for d in differences} == {None}
    shorter = {"source": "x", "settings": {"max_model_len": 512}}
    cut = compare(manifest(), manifest(models={**panel().model_dump()["models"], "a": shorter}))
    assert "responses" in {d.stage for d in cut}


def test_a_model_may_be_named_as_a_placement_is() -> None:
    named = sorted(PLACEMENT)[0]
    (found,) = compare(
        manifest(models={named: {"source": "x"}}, min_models=1),
        manifest(models={named: {"source": "y"}}, min_models=1),
    )
    assert found.stage == "responses"


def test_every_operation_is_some_engines_setting() -> None:
    assert {name for kind in KINDS.values() for name in kind.model_fields} >= OPERATIONS
