import re
import shutil
from pathlib import Path

import pytest
import yaml

from qibox.engines.sources import fingerprint, local_directory
from qibox.errors import UsageError
from qibox.manifests import (
    JudgeManifest,
    PanelManifest,
    PoolManifest,
    load_manifest,
)
from qibox.manifests.asking import Marks
from qibox.policies.contenders import contender_of, contenders_of, starts_of
from qibox.policies.running import NOISE_ID, Running
from qibox.run.directory import Run, RunManifest
from qibox.run.storage import Storage


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with two policies that started from the built-in one; their weights are others'."""
    manifest = RunManifest(
        pool=load_manifest(PoolManifest, "mini"),
        panel=load_manifest(PanelManifest, "mini"),
        judges=(load_manifest(JudgeManifest, "oracle"),),
    )
    made = Run.create(Storage(tmp_path / "run"), manifest)
    start = local_directory("builtin:policy")
    assert start is not None
    for name, weights in (("default", "strong"), ("short", "cautious")):
        source = local_directory(f"builtin:{weights}")
        assert source is not None
        shutil.copytree(source, tmp_path / "run/policies" / name / "model")
        plan = {
            "policy": "builtin:policy",
            "policy_revision": fingerprint(start),
            "selection": "none",
        }
        made.storage.write_text(f"policies/{name}/policy.yaml", yaml.safe_dump({"plan": plan}))
    return made


def test_policies_share_the_start_they_came_from(run: Run) -> None:
    with contenders_of(run, ["default", "short"]) as contenders:
        assert [each.name for each in contenders] == ["start-policy", "default", "short"]
        assert starts_of(contenders) == {"default": "start-policy", "short": "start-policy"}
        assert {each.spec.noise_id for each in contenders} == {NOISE_ID}


def test_a_policy_and_its_start_are_asked_as_its_recipe_says(run: Run) -> None:
    """Unless a manifest says of the policy how to ask it."""
    path = "policies/default/policy.yaml"
    lineage = run.storage.read_mapping(path)
    marks = {"open": "<t>", "close": "</t>"}
    lineage["plan"]["recipe"] = {"system": "Think.", "prompt": None, "reasoning": marks}
    run.storage.write_mapping(path, lineage)
    with contenders_of(run, ["default", "short"]) as contenders:
        asked = {each.name: each.spec for each in contenders}
    assert [each.system for each in asked.values()] == ["Think.", None, "Think.", None]
    assert asked["default"].prompt is None
    assert asked["default"].reasoning == Marks(**marks)
    models = {"default": {"source": "default", "system": "Be brief."}}
    file = Path(run.storage.path("own.yaml"))
    file.write_text(yaml.safe_dump({"name": "own", "about": "", "models": models}))
    with contender_of(run, str(file)) as contender:
        assert contender.spec.system == "Be brief."
        assert contender.spec.reasoning == Marks(**marks)


def test_a_contenders_spec_holds_no_path_and_its_place_does(run: Run) -> None:
    with contender_of(run, "default") as contender:
        assert contender.spec.source == "policy:default"
        assert contender.place == run.storage.path("policies/default/model")
        assert str(contender.spec.revision).startswith("sha256:")


def test_a_policy_from_elsewhere_stands_alone(run: Run, tmp_path: Path) -> None:
    source = local_directory("builtin:strong")
    assert source is not None
    shutil.copytree(source, tmp_path / "My Model")
    with contenders_of(run, [str(tmp_path / "My Model"), "builtin:strong"]) as contenders:
        assert [(c.name, c.spec.source, c.start) for c in contenders] == [
            ("my-model", "My Model", None),
            ("builtin-strong", "builtin:strong", None),
        ]


def test_a_path_that_leads_out_of_here_is_a_source(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = local_directory("builtin:strong")
    assert source is not None
    shutil.copytree(source, tmp_path / "weights")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with contender_of(run, "../weights") as contender:
        assert (contender.name, contender.spec.source) == ("weights", "weights")
    with pytest.raises(UsageError, match="is not a directory"), contender_of(run, "../none"):
        pass


def test_directories_of_one_name_are_two_contenders_unless_their_weights_are_the_same(
    run: Run, tmp_path: Path
) -> None:
    for place, weights in (("a", "strong"), ("b", "cautious"), ("c", "strong")):
        source = local_directory(f"builtin:{weights}")
        assert source is not None
        shutil.copytree(source, tmp_path / place / "default")
    paths = [str(tmp_path / place / "default") for place in "abc"]
    with contenders_of(run, paths) as alone:
        names = [each.name for each in alone]
        assert names[0] == "default"
        assert re.fullmatch("default-[0-9a-f]{8}", names[1])
        assert len(names) == 2  # the third is the first
    with contenders_of(run, [paths[0], "default"]) as beside:
        assert [(c.name, c.spec.source) for c in beside][1] == ("default", "policy:default")
        assert [c.place for c in beside][2] == paths[0]
        assert beside[2].name.startswith("default-")


def test_a_directory_is_not_taken_for_a_policy_before_training(run: Run, tmp_path: Path) -> None:
    source = local_directory("builtin:strong")
    assert source is not None
    shutil.copytree(source, tmp_path / "start-here")
    with contender_of(run, str(tmp_path / "start-here")) as contender:
        assert contender.name == "from-start-here"


def test_recorded_answers_take_the_place_of_an_engine(run: Run, tmp_path: Path) -> None:
    (tmp_path / "said.jsonl").write_text('{"sample_id": "a", "text": "x", "model": "default"}\n')
    with contender_of(run, "default", Running(replay=str(tmp_path / "said.jsonl"))) as contender:
        assert contender.spec.engine == "replay"


def test_an_unknown_policy_is_one_sentence(run: Run) -> None:
    with (
        pytest.raises(UsageError, match=r"no policy named 'nobody'.*default, short.*qibox train"),
        contenders_of(run, ["nobody"]),
    ):
        pass
