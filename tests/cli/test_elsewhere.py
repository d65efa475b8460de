"""The same command again, from elsewhere and over what changed: through the real command line."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from qibox.engines.recording import recording_fingerprint
from qibox.run.directory import RUN_FILE, Run
from qibox.run.layout import pool_path
from qibox.run.storage import KEY
from qibox.tables import SAMPLES
from tests.commands import Done, qibox
from tests.pipelines.test_score import marks
from tests.recordings import record, write_manifests, write_responses


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return record(tmp_path / "data")


def score(data: Path, *more: object) -> Done:
    """Everything by its full path."""
    pool = ("--pool", data / "pool.yaml", "--panel", data / "panel.yaml", "--judge", "hash")
    return qibox("score", *pool, "--out", data.parent / "run", "-q", *more)


def written(data: Path) -> dict[str, tuple[int, int]]:
    return marks(data.parent / "run")


def test_the_same_command_from_another_directory_goes_on(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert score(data).status == 0
    before = written(data)
    elsewhere = data.parent / "some/where"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert score(data) == Done(0, "", "")
    assert written(data) == before
    # What is not there is made from where its places are now.
    lost = ["pool/_index.json", "responses/model=ada/shard-00000.parquet"]
    for name in lost:
        (data.parent / "run" / name).unlink()
    assert score(data) == Done(0, "", "")
    after = written(data)
    assert {name: after[name] for name in before if name not in lost} == {
        name: mark for name, mark in before.items() if name not in lost
    }


def test_a_pool_that_changed_under_its_path_is_noticed_wherever_one_stands(data: Path) -> None:
    """Not by its time, which a copy or a checkout sets as it likes."""
    import os

    assert score(data).status == 0
    pool = data / "pool.jsonl"
    text, stamp = pool.read_text(), pool.stat()
    os.utime(pool)
    assert score(data) == Done(0, "", "")  # quiet, and nothing to say aloud either:
    assert "changed after" not in score(data, "--dry-run").stderr
    pool.write_text(text.replace("what is 3 ?", "what is 4 ?"))
    os.utime(pool, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    said = qibox(*_loud(data)).stderr
    assert "pool.jsonl changed after this run had read it: --rescore pool reads it again" in said
    again = qibox(*_loud(data), "--rescore", "pool")
    assert again.status == 0
    assert "changed after" not in again.stderr
    assert "changed after" not in qibox(*_loud(data)).stderr


def _loud(data: Path) -> tuple[object, ...]:
    pool = ("--pool", data / "pool.yaml", "--panel", data / "panel.yaml", "--judge", "hash")
    return ("score", *pool, "--out", data.parent / "run")


@pytest.mark.parametrize("version", ["this one", "an earlier one"])
def test_a_further_recorded_model_leaves_the_others_as_they_are(data: Path, version: str) -> None:
    assert score(data).status == 0
    run = data.parent / "run"
    if version == "an earlier one":  # which took one revision of the whole directory for each
        _written_by_an_earlier_version(data)
    before = written(data)
    write_responses(data, "dot", [(i, k, f"dot says {i}.{k}") for i in range(12) for k in range(2)])
    write_manifests(data, k=2, shard_size=5, models=("ada", "bay", "cid", "dot"))
    refused = score(data)
    assert refused.status == 2
    assert "panel.models.dot was absent and is now there" in refused.stderr
    assert "revision" not in refused.stderr
    for _ in range(2):  # and once more, with nothing to do
        assert score(data, "--rescore", "responses").status == 0
        after = written(data)
        kept = [name for name in before if not name.startswith("scores/")]
        assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
        assert not (run / "outdated/responses").exists() or version == "an earlier one"
    assert (run / "responses/model=dot/shard-00000.parquet").exists()
    # A changed recording is still a changed model, and no other one's.
    write_responses(data, "ada", [(i, k, "ada changed") for i in range(12) for k in range(2)])
    changed = score(data)
    assert changed.status == 2
    assert "panel.models.ada.revision was" in changed.stderr
    if version == "this one":
        assert "bay" not in changed.stderr


def _written_by_an_earlier_version(data: Path) -> None:
    """Rewrite the run as one whose models all have the revision of the directory."""
    run = data.parent / "run"
    whole = recording_fingerprint(str(data / "responses"))
    manifest = yaml.safe_load((run / RUN_FILE).read_text())
    for model in manifest["panel"]["models"].values():
        model["revision"] = whole
    manifest["pool"].pop("fingerprint")
    (run / RUN_FILE).write_text(yaml.safe_dump(manifest))
    assert score(data, "--rescore", "responses").status == 0  # under the keys of then
    assert yaml.safe_load((run / RUN_FILE).read_text())["panel"] == manifest["panel"]


def test_pools_of_before_there_were_licences_are_read_and_kept(data: Path) -> None:
    text = (data / "pool.yaml").read_text()
    (data / "pool.yaml").write_text(f"{text}license: CC-BY-4.0\n")
    assert score(data).status == 0
    asked = ("sql", data.parent / "run", "--format", "json")
    count = "select license, count(*) as n from pool group by all order by n"
    assert qibox(*asked, count).stdout.splitlines() == ['{"license": "CC-BY-4.0", "n": 12}']
    run = Run.open(data.parent / "run")
    name = pool_path(0)
    old = run.storage.read_table(name).select(SAMPLES.names)
    key = run.storage.table_key(name)
    run.storage.write_table(name, old, key)
    assert KEY in pq.read_schema(run.storage.path(name)).metadata
    before = written(data)
    assert qibox(*asked, count).stdout.splitlines() == [
        '{"license": null, "n": 5}', '{"license": "CC-BY-4.0", "n": 7}',
    ]  # fmt: skip
    (data.parent / "run/responses/model=ada/shard-00000.parquet").unlink()
    assert score(data, "--rescore", "pool").status == 0
    after = written(data)
    assert run.storage.read_table(name).column_names == SAMPLES.names  # its key is what it was
    assert {n for n in before if after[n] != before[n]} == {
        "responses/model=ada/shard-00000.parquet"
    }
