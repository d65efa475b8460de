from pathlib import Path
from typing import Any

import pytest
import yaml

from qibox.errors import DamagedFileError, UsageError
from qibox.manifests import JudgeManifest, PanelManifest, PoolManifest
from qibox.run.directory import (
    POOL_INDEX,
    RUN_FILE,
    PoolIndex,
    Run,
    RunManifest,
    parse_run_manifest,
)
from qibox.run.layout import (
    judgments_path,
    pool_path,
    rejects_path,
    responses_path,
    scores_path,
)
from qibox.run.storage import Storage
from qibox.run.units import FORMAT, judgments_key, responses_key, scores_key

POOL = PoolManifest(name="pool", about="a pool", format="mini")
PANEL = PanelManifest.model_validate(
    {"name": "panel", "about": "", "models": {"a": {"source": "x"}, "b": {"source": "y"}}}
)
ORACLE = JudgeManifest(name="oracle", about="knows", kind="oracle")
HASH = JudgeManifest(name="hash", about="draws", kind="hash")
INDEX = PoolIndex(keys=("k0", "k1"), sizes=(3, 2), read=8, rejected=2, duplicates=1)


def manifest(**changes: Any) -> RunManifest:
    fields = {"pool": POOL, "panel": PANEL, "judges": (ORACLE, HASH), "limit": 5}
    return RunManifest(**{**fields, **changes})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(Storage(tmp_path / "run"), manifest(versions={"qibox": "1"}))


def test_a_run_that_was_created_opens_the_same(run: Run) -> None:
    for path in (run.storage.url, Path(run.storage.url)):
        assert Run.open(path).manifest == run.manifest
    assert run.storage.files("") == [RUN_FILE]


def test_a_run_on_a_remote_filesystem_opens_too() -> None:
    url = "memory://test-run/one"
    made = Run.create(Storage(url), manifest())
    assert Run.open(url).manifest == made.manifest


def test_a_run_tells_under_which_formats_its_files_are_written(run: Run) -> None:
    assert Run.open(run.storage.url).manifest.format == FORMAT
    text = run.storage.read_text(RUN_FILE)
    earlier = yaml.safe_load(text)
    del earlier["format"]
    assert parse_run_manifest(yaml.safe_dump(earlier), "here").format == {}


def test_a_run_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    path = tmp_path / "absent"
    with pytest.raises(UsageError) as caught:
        Run.open(path)
    assert str(caught.value) == f"no run at {path}: `qibox score out={path}` makes one"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "run.yaml is not YAML: score into another directory"),
        ("", "run.yaml is not a run's manifest"),
        ("[1]", "run.yaml is not a run's manifest"),
        ("{}", "field 'pool' is missing; field 'panel' is missing; field 'judges' is missing"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_one_sentence(
    text: str, message: str, tmp_path: Path
) -> None:
    Storage(tmp_path).write_text(RUN_FILE, text)
    with pytest.raises(UsageError) as caught:
        Run.open(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"^here is not"):
        parse_run_manifest(text, "here")


def test_unknown_fields_of_a_manifest_are_named(run: Run) -> None:
    text = run.storage.read_text(RUN_FILE)
    with pytest.raises(UsageError, match=r"unknown field 'extra' \(allowed: pool, panel"):
        parse_run_manifest(f"{text}extra: 1\n", "here")


def test_the_pool_index_marks_the_pool_as_read(run: Run) -> None:
    assert run.pool_index() is None
    run.write_pool_index(INDEX)
    assert run.pool_index() == INDEX
    assert INDEX.samples == 5
    assert INDEX.read == INDEX.samples + INDEX.rejected + INDEX.duplicates


def test_a_damaged_pool_index_says_what_to_do(run: Run) -> None:
    run.storage.write_text(POOL_INDEX, '{"keys": [')
    with pytest.raises(DamagedFileError, match=r"_index.json is damaged .+: remove it"):
        run.pool_index()


def test_responses_have_a_unit_for_each_shard(run: Run) -> None:
    first, second = run.responses_units("b", INDEX.shards())
    assert (first.model, first.judge, first.shard, first.samples) == ("b", "", 0, 3)
    assert first.path == "responses/model=b/shard-00000.parquet"
    assert first.key == responses_key("k0", "b", PANEL.models["b"], PANEL)
    assert (second.shard, second.path) == (1, "responses/model=b/shard-00001.parquet")
    assert second.key == responses_key("k1", "b", PANEL.models["b"], PANEL)


def test_judgments_have_a_unit_for_each_model_and_shard(run: Run) -> None:
    units = run.judgments_units(HASH, INDEX.shards())
    assert sorted((u.model, u.shard) for u in units) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    for unit in units:
        answers = run.responses_units(unit.model, INDEX.shards())[unit.shard]
        assert unit.key == judgments_key(answers.key, HASH)
        assert unit.path == judgments_path("hash", unit.model, unit.shard)
        assert (unit.judge, unit.samples) == ("hash", INDEX.sizes[unit.shard])


def test_a_judge_that_compares_is_keyed_by_all_models_responses(run: Run) -> None:
    pairwise = JudgeManifest.model_validate(
        {"name": "grm", "about": "", "kind": "pairwise", "model": {"source": "grm"}}
    )
    beside = [run.responses_units(model, INDEX.shards())[1].key for model in ("a", "b")]
    units = {(u.model, u.shard): u for u in run.judgments_units(pairwise, INDEX.shards())}
    assert units["a", 1].key == judgments_key(beside[0], pairwise, beside)


def test_scores_are_keyed_by_the_first_judges_judgments(run: Run) -> None:
    units = run.scores_units(INDEX.shards())
    assert [u.shard for u in units] == [0, 1]
    for unit in units:
        keys = [u.key for u in run.judgments_units(ORACLE, INDEX.shards()) if u.shard == unit.shard]
        assert unit.key == scores_key(keys, PANEL)
        assert unit.path == scores_path(unit.shard)
        assert (unit.judge, unit.model) == ("oracle", "")


def test_no_shards_are_no_units(run: Run) -> None:
    assert run.responses_units("a", ()) == []
    assert run.judgments_units(ORACLE, ()) == []
    assert run.scores_units(()) == []


def test_paths_are_the_documented_ones() -> None:
    assert pool_path(7) == "pool/shard-00007.parquet"
    assert rejects_path(7) == "rejects/shard-00007.parquet"
    assert responses_path("m", 12) == "responses/model=m/shard-00012.parquet"
    assert judgments_path("j", "m", 3) == "judgments/judge=j/model=m/shard-00003.parquet"
    assert scores_path(123456) == "scores/shard-123456.parquet"


def test_part_of_a_pool_has_other_keys_where_a_shard_is_cut() -> None:
    whole = INDEX.shards()
    assert [(s.number, s.key, s.samples) for s in whole] == [(0, "k0", 3), (1, "k1", 2)]
    assert INDEX.shards(5) == whole
    assert INDEX.shards(3) == whole[:1]
    first, second = INDEX.shards(4)
    assert first == whole[0]
    assert (second.number, second.samples) == (1, 1)
    assert second.key != "k1"


def test_policies_make_no_scores_and_lie_below_the_run(tmp_path: Path) -> None:
    made = manifest(judges=(HASH,)).model_copy(update={"scored": False})
    below = Run.create(Storage(tmp_path), made, home="profiles/p/", pool_home="")
    assert below.scores_units(INDEX.shards()) == []
    unit = below.responses_units("a", INDEX.shards())[0]
    assert (unit.path, unit.pool) == (
        "profiles/p/responses/model=a/shard-00000.parquet",
        "pool/shard-00000.parquet",
    )
    assert (tmp_path / "profiles/p/run.yaml").exists()
    assert below.borrows_pool
    assert Run.open(tmp_path / "profiles/p").manifest == below.manifest
