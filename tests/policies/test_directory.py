from pathlib import Path

import pytest
import yaml

from qibox.engines.sources import fingerprint
from qibox.errors import UsageError
from qibox.manifests.common import as_name
from qibox.policies.directory import (
    model_directory,
    read_lineage,
    start_source,
)
from qibox.run.finished import policy_names
from qibox.run.storage import Storage


def lineage(policy: str, revision: str) -> dict[str, dict[str, str]]:
    return {"plan": {"policy": policy, "policy_revision": revision, "selection": "default"}}


def test_only_a_policy_with_its_lineage_counts(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.write_text("policies/half/metrics.jsonl", "")
    storage.write_text("policies/done/policy.yaml", yaml.safe_dump(lineage("a", "b")))
    storage.write_text("policies/done/model/policy.yaml", "a file of that name deeper down")
    assert policy_names(storage) == ["done"]
    assert read_lineage(storage, "half") is None
    assert read_lineage(storage, "done") == lineage("a", "b")


def test_a_start_policy_on_the_hub_is_its_commit() -> None:
    assert start_source(lineage("owner/name", "c0ffee"), None) == ("owner/name", "c0ffee")


def test_a_start_policy_that_was_a_directory_must_be_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"1")
    known = lineage("weights", fingerprint(folder))
    with pytest.raises(UsageError, match="a directory named 'weights': say where it is"):
        start_source(known, None)
    assert start_source(known, str(folder)) == (str(folder), None)
    (folder / "model.safetensors").write_bytes(b"2")
    with pytest.raises(UsageError, match="does not hold the weights"):
        start_source(known, str(folder))


def test_a_model_elsewhere_is_copied_here() -> None:
    storage = Storage("memory://test-policies/run")
    storage.write_text("policies/p/model/config.json", "{}")
    with model_directory(storage, "p") as folder:
        assert (folder / "config.json").read_text() == "{}"
    assert not folder.exists()


@pytest.mark.parametrize(
    ("source", "name"),
    [("builtin:strong", "builtin-strong"), ("/tmp/My Model", "tmp-my-model"), ("…", "policy")],
)
def test_a_source_as_a_name(source: str, name: str) -> None:
    assert as_name(source) == name
