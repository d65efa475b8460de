"""Values that no one means: each is refused in one sentence, before any work."""

import os
from pathlib import Path

import pytest
import yaml

from qibox.manifests import RecipeManifest, load_manifest
from qibox.run.storage import Storage
from qibox.scoring.lock import locked
from tests.commands import qibox
from tests.recordings import record
from tests.runs import sample, write_run

BEYOND = 10**20  # 64 bits end before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--limit", BEYOND], "--limit"),
        (["--seed", BEYOND], "--seed"),
        (["--seed", -1], "--seed"),
        (["--samples-per-model", 10**17], "--samples-per-model"),
        (["--", "--runner=os.system"], "os.system is no runner of Beam's"),
        (["--", "--runner=apache_beam.runners.runner.create_runner"], "no runner of Beam's"),
        (["--", "--runner=apache_beam.runners.nosuch.Runner"], "cannot be loaded"),
        (["--", "--runner=Nosuch"], "Nosuch is no runner of Beam's"),
        (["--", "--direct_num_workers=-3"], "direct_num_workers=-3: this"),
        (["--", "--direct_num_workers=9999"], "direct_num_workers=9999: this"),
    ],
)
def test_score_refuses(tmp_path: Path, arguments: list[object], says: str) -> None:
    folder = record(tmp_path)
    manifests = ["--pool", folder / "pool.yaml", "--panel", folder / "panel.yaml"]
    out = tmp_path / "run"
    done = qibox("score", *manifests, "--judge", "hash", "--out", out, *arguments)
    assert done.status == 2
    assert says in done.stderr
    assert not (out / "pool").exists()


def test_a_runner_elsewhere_that_does_not_start_is_one_sentence(tmp_path: Path) -> None:
    folder = record(tmp_path)
    manifests = ["--pool", folder / "pool.yaml", "--panel", folder / "panel.yaml"]
    options = ["--", "--runner=PortableRunner", "--job_endpoint=localhost:1"]
    options += ["--job_server_timeout=1", "--environment_type=LOOPBACK"]
    done = qibox("score", *manifests, "--judge", "hash", "-q", "--out", tmp_path / "run", *options)
    assert done.status == 1
    assert "Error: Beam's PortableRunner did not do the work" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--runner=DataflowRunner"], "Missing required option: region"),
        (["--runner=FlinkRunner"], "Unable to fetch remote job server jar"),
        (["--runner=PrismRunner"], "Unable to fetch remote prism binary"),
    ],
)
def test_a_runner_that_lacks_something_says_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], says: str
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")  # nothing can be fetched
    monkeypatch.setenv("HOME", str(tmp_path))  # and nothing was before
    folder = record(tmp_path)
    manifests = ["--pool", folder / "pool.yaml", "--panel", folder / "panel.yaml"]
    command = ["score", *manifests, "--judge", "hash", "-q", "--out", tmp_path / "run"]
    done = qibox(*command, "--", *options)
    assert done.status == 1
    assert says in done.stderr
    assert done.stderr.count("Error: ") == done.stderr.count("\n") == 1


def test_storage_without_its_package_names_it(tmp_path: Path) -> None:
    folder = record(tmp_path)
    manifests = ["--pool", folder / "pool.yaml", "--panel", folder / "panel.yaml"]
    done = qibox("score", *manifests, "--judge", "hash", "--out", "oci://bucket@space/run")
    assert done.status == 2
    assert "pip install ocifs" in done.stderr


@pytest.mark.parametrize("name", ["a" * 300, "a/b", "", "..", "Ä"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    write_run(tmp_path, [sample("a", 5, 2)])
    done = qibox("select", tmp_path, "--random", 1, "--name", name)
    assert done.status == 2
    assert "is not a name for a selection" in done.stderr
    assert qibox("select", tmp_path, "--random", 1).status == 0
    done = qibox("train", tmp_path, "--name", name, "--dry-run")
    assert done.status == 2
    assert "is not a name" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--seed", -1], "--seed"), (["--seed", 2**33], "--seed"), (["--steps", 10**19], "--steps")],
)
def test_train_refuses(tmp_path: Path, arguments: list[object], says: str) -> None:
    write_run(tmp_path, [sample("a", 5, 2)])
    done = qibox("train", tmp_path, *arguments, "--dry-run")
    assert done.status == 2
    assert says in done.stderr


@pytest.mark.parametrize(("field", "value"), [("seed", 2**40), ("seed", -1), ("steps", 10**19)])
def test_a_recipe_refuses(tmp_path: Path, field: str, value: int) -> None:
    write_run(tmp_path, [sample("a", 5, 2)])
    recipe = load_manifest(RecipeManifest, "mini").model_dump(mode="json") | {field: value}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    done = qibox("train", tmp_path, "--recipe", tmp_path / "recipe.yaml", "--dry-run")
    assert done.status == 2
    assert f"{field}: " in done.stderr
    assert "recipe.yaml" in done.stderr


@pytest.mark.parametrize("command", ["eval", "profile"])
@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ("../x", "../x"),
        ("", "name is empty: give the name of a policy, a directory or a hub id (--policy)"),
    ],
)
def test_policies_that_are_none(tmp_path: Path, command: str, policy: str, says: str) -> None:
    write_run(tmp_path, [sample("a", 5, 2)])
    done = qibox(command, tmp_path, "--policy", policy)
    assert done.status == 2
    assert says in done.stderr


def test_a_run_can_be_replayed(tmp_path: Path) -> None:
    folder = record(tmp_path / "recorded")
    score = ["score", "--pool", folder / "pool.yaml", "--judge", "hash", "-q", "--panel"]
    assert qibox(*score, folder / "panel.yaml", "--out", tmp_path / "one").status == 0
    replay = ["--replay", tmp_path / "one", "--out", tmp_path / "two"]
    done = qibox(*score, folder / "panel.yaml", *replay)
    assert done.status == 0, done.stderr
    query = "select * from scores order by all"
    one, two = (qibox("sql", tmp_path / run, query, "--format", "csv") for run in ("one", "two"))
    assert one.stdout == two.stdout


def test_recordings_that_lead_nowhere_or_are_damaged(tmp_path: Path) -> None:
    folder = record(tmp_path / "recorded")
    score = ["score", "--pool", folder / "pool.yaml", "--judge", "hash", "-q", "--panel"]
    score += [folder / "panel.yaml", "--out", tmp_path / "run", "--replay"]
    loop = tmp_path / "loop"
    loop.mkdir()
    (loop / "round.parquet").symlink_to("round.parquet")
    (loop / "again").symlink_to(".")
    done = qibox(*score, loop)
    assert done.status in (1, 2)
    assert "round" in done.stderr
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"PAR1 nothing PAR1")
    done = qibox(*score, bad)
    assert done.status == 2
    assert "bad.parquet is not Parquet" in done.stderr


@pytest.mark.parametrize("option", ["--panel", "--pool", "--judge"])
def test_yaml_nested_a_thousand_deep(tmp_path: Path, option: str) -> None:
    deep = tmp_path / "deep.yaml"
    deep.write_text("[" * 3000 + "]" * 3000)
    done = qibox("score", option, deep, "--dry-run", "--out", tmp_path / "run")
    assert done.status == 2
    assert "nested too deep" in done.stderr


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("name", ["run.yaml", "scores/shard-00000.parquet", "pool/_index.json"])
def test_what_never_ends_in_a_files_place_is_not_waited_for(
    tmp_path: Path, name: str, kind: str
) -> None:
    write_run(tmp_path, [sample("a", 5, 2)])
    (tmp_path / name).unlink()
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    for command in (
        ["status", tmp_path],
        ["sql", tmp_path, "from scores"],
        ["select", tmp_path, "--random", 1],
    ):
        done = qibox(*command)
        assert done.status in (1, 2)
        assert done.stderr.count("\n") <= 2
        assert name in done.stderr or "scored on 0 of its 1 shards" in done.stderr


def test_the_second_training_of_a_name_is_told_who_holds_it(tmp_path: Path) -> None:
    write_run(tmp_path, [sample(f"a{i}", 5, 2) for i in range(8)])
    assert qibox("select", tmp_path, "--random", 8).status == 0
    with locked(Storage(tmp_path), "policies/.default.lock"):
        done = qibox("train", tmp_path)
    assert done.status == 1
    assert f"policies/default is being written by process {os.getpid()}" in done.stderr
