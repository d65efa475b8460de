from pathlib import Path

import pytest

from qibox.errors import UsageError
from qibox.manifests import JudgeManifest, PoolManifest
from qibox.scoring.resolve import (
    choose_engine,
    choose_models,
    choose_sampling,
    located_model,
    replay_responses,
    resolve_run,
)
from tests.recordings import HASH, record, recorded
from tests.scoring.making import POOL, manifest, panel


def test_a_part_of_a_panel_lowers_what_a_sample_needs() -> None:
    part = choose_models(panel(), ["c", "a"])
    assert list(part.models) == ["a", "c"]
    assert part.min_models == 2
    with pytest.raises(UsageError, match="no model named 'd' in panel p: it has a, b, c"):
        choose_models(panel(), ["a", "d"])


def test_fewer_responses_lower_what_a_model_needs() -> None:
    few = choose_sampling(panel(), 2, 7)
    assert (few.sampling.samples, few.sampling.seed, few.min_responses) == (2, 7, 2)
    assert choose_sampling(panel()) == panel()
    for wrong in (0, -3):
        with pytest.raises(UsageError, match=f"samples per model is {wrong}: give 1 or more"):
            choose_sampling(panel(), wrong)


def test_all_models_can_be_run_by_one_engine_or_played() -> None:
    assert {s.engine for s in choose_engine(panel(), "vllm").models.values()} == {"vllm"}
    played = replay_responses(panel(), "answers")
    assert {(s.engine, s.source) for s in played.models.values()} == {("replay", "answers")}


def test_paths_are_kept_relative_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = record(tmp_path / "data", 2)
    monkeypatch.chdir(tmp_path)
    resolved = recorded(data)
    assert resolved.pool.path == "data/pool.jsonl"
    assert resolved.panel.models["ada"].source == "data/responses"
    assert str(resolved.panel.models["ada"].revision).startswith("sha256:")
    (tmp_path / "deeper").mkdir()
    ada = resolved.panel.models["ada"]
    assert located_model(ada).source == str(data / "responses")
    assert located_model(ada, str(tmp_path)).source == str(tmp_path)
    hub = manifest(models={"a": {"source": "owner/name"}}, min_models=1)
    assert located_model(hub.panel.models["a"]).source == "owner/name"


def test_a_path_elsewhere_is_relative_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = record(tmp_path / "data", 2)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    resolved = recorded(data)
    assert resolved.pool.path == "../data/pool.jsonl"
    assert Path(located_model(resolved.panel.models["ada"]).source) == data / "responses"


def test_a_secret_in_a_manifest_is_refused() -> None:
    settings = {"base_url": "http://x/v1", "extra_body": {"api_key": "sk-1"}}
    served = {"a": {"source": "m", "engine": "openai", "settings": settings}}
    with pytest.raises(UsageError, match=r"models\.a\.settings\.extra_body\.api_key") as refused:
        resolve_run(POOL, panel(models=served, min_models=1), [HASH])
    assert "sk-1" not in str(refused.value)
    pool = PoolManifest(name="p", about="", format="csv", path="https://me:pass@host/pool.csv")
    played = panel(models={"a": {"source": "builtin:strong"}}, min_models=1)
    with pytest.raises(UsageError, match=r"pool\.path") as refused:
        resolve_run(pool, played, [HASH])
    assert "pass" not in str(refused.value).replace("password", "")


def test_a_judge_is_resolved_too() -> None:
    judge = JudgeManifest(name="r", about="", kind="replay", path="nowhere")
    with pytest.raises(UsageError, match="nowhere"):
        resolve_run(POOL, panel(models={"a": {"source": "builtin:strong"}}, min_models=1), [judge])


def test_a_run_that_goes_on_keeps_the_commits_it_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub = PoolManifest(name="p", about="", format="datasets", path="owner/pool")
    combined = PoolManifest(name="both", about="", parts=(hub,))
    played = panel(models={"a": {"source": "builtin:strong"}}, min_models=1)
    settled = hub.model_copy(update={"revision": "1f0c"})
    for new, old in (
        (hub, settled),
        (combined, combined.model_copy(update={"parts": (settled,)})),
    ):
        with pytest.raises(UsageError, match="owner/pool"):
            resolve_run(new, played, [HASH])
        earlier = manifest(pool=old)
        found = resolve_run(new, played, [HASH], earlier=earlier).pool
        assert [p.revision for p in (found.parts or [found]) if not isinstance(p, str)] == ["1f0c"]
        elsewhere = hub.model_copy(update={"path": "owner/other"})
        with pytest.raises(UsageError, match="owner/other"):
            resolve_run(elsewhere, played, [HASH], earlier=earlier)


def test_a_run_that_goes_on_asks_the_hub_for_the_models_it_had() -> None:
    served = {"source": "owner/model", "engine": "transformers"}
    old = manifest(models={"a": {**served, "revision": "1f0c"}}, min_models=1)
    with pytest.raises(UsageError, match="owner/model' at revision 1f0c"):
        resolve_run(POOL, panel(models={"a": served}, min_models=1), [HASH], earlier=old)
