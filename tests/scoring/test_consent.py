import pytest

from qibox.errors import UsageError
from qibox.manifests import JudgeManifest, ModelSpec, PoolManifest
from qibox.run.directory import RunManifest
from qibox.run.units import FORMAT
from qibox.scoring import consent
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
    assert "Score into another directory" in said
    assert refused.value.fields == ("out", "rescore=responses")


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
    (found,) = compare(
        manifest(models={"accelerator": {"source": "x"}}, min_models=1),
        manifest(models={"accelerator": {"source": "y"}}, min_models=1),
    )
    assert found.stage == "responses"


def test_words_about_a_part_of_a_pool_are_words() -> None:
    part = POOL.model_copy(update={"name": "part"})
    whole = PoolManifest(name="whole", about="", parts=(POOL, part))
    said = part.model_copy(update={"about": "said otherwise"})
    other = part.model_copy(update={"split": "test"})
    assert compare(manifest(pool=whole), manifest(pool=_with(whole, POOL, said))) == []
    (found,) = compare(manifest(pool=whole), manifest(pool=_with(whole, POOL, other)))
    assert (found.key, found.stage) == ("pool.parts.part.split", "pool")
    (found,) = compare(manifest(pool=whole), manifest(pool=_with(whole, part, POOL)))
    assert (found.key, found.new) == ("pool.parts", ["part", "mini"])


def test_a_pools_name_heads_its_samples_ids() -> None:
    (found,) = compare(manifest(), manifest(pool=POOL.model_copy(update={"name": "other"})))
    assert (found.key, found.stage) == ("pool.name", "pool")


def test_a_run_of_another_format_is_made_anew_with_consent_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consent, "FORMAT", {**FORMAT, "responses": 2, "scores": 3})
    differences = compare(manifest(), manifest(min_models=2))
    check_consent(differences, "responses", "runs/x")
    with pytest.raises(UsageError) as refused:
        check_consent(differences, "judgments", "runs/x")
    assert str(refused.value) == (
        "runs/x was made by another version of qibox: the format of its responses was 1 and is now "
        "2; the format of its scores was 1 and is now 3. Score into another directory, or let "
        "the files that this touches be set aside under outdated/ and made anew, from stage "
        "responses on"
    )
    assert refused.value.fields == ("out", "rescore=responses")
    told = manifest().model_copy(update={"format": {**FORMAT, "responses": 2, "scores": 3}})
    assert compare(told, told) == []


def test_keys_of_before_that_held_how_a_model_is_run_are_not_redone_unasked() -> None:
    eight = {"source": "x", "engine": "vllm", "settings": {"tensor_parallel_size": 8}}
    earlier = manifest(models={"a": eight, "b": {"source": "y"}}, min_models=1)
    differences = compare(earlier, earlier)
    with pytest.raises(UsageError) as refused:
        check_consent(differences, None, "runs/x")
    assert str(refused.value) == (
        "runs/x was made by another version of qibox: panel.models.a.settings.tensor_parallel_size "
        "was part of its files' keys and is now part of none. Score into another directory, or let "
        "the files that this touches be set aside under outdated/ and made anew, from stage "
        "responses on"
    )
    assert refused.value.fields == ("out", "rescore=responses")
    check_consent(differences, "responses", "runs/x")
    told = earlier.model_copy(update={"format": dict(FORMAT)})
    assert compare(told, told) == []


def test_a_judge_that_is_asked_otherwise_than_it_was_is_not_asked_anew_unasked() -> None:
    """Its verdicts would be another judge's; those that ask no model are not touched."""
    grm = JudgeManifest(name="grm", about="", kind="generative", model=ModelSpec(source="x"))
    before = {**FORMAT, "asked": 1}
    oracle = manifest().model_copy(update={"format": before})
    assert compare(oracle, oracle) == []
    earlier = oracle.model_copy(update={"judges": (*oracle.judges, grm)})
    (found,) = compare(earlier, earlier)
    assert (str(found), found.stage) == (
        "how judge 'grm' is asked was 1 and is now 2", "judgments"
    )  # fmt: skip
    with pytest.raises(UsageError, match="made by another version"):
        check_consent([found], None, "runs/x")
    check_consent([found], "judgments", "runs/x")


def _with(pool: PoolManifest, *parts: PoolManifest) -> PoolManifest:
    return pool.model_copy(update={"parts": parts})
