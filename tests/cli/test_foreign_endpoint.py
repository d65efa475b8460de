"""What an endpoint is not told: whose account another service's variables name."""

from pathlib import Path

import pytest

from tests.commands import qibox
from tests.endpoint import serving, write_endpoint
from tests.recordings import record


def test_an_endpoint_gets_no_organisation_that_was_not_meant_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another-house")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-another-house")
    data = record(tmp_path / "data", 2)
    with serving() as endpoint:
        write_endpoint(data, endpoint.url)
        manifests = ("--pool", data / "pool.yaml", "--panel", data / "asked.yaml")
        done = qibox("score", *manifests, "--judge", "hash", "-q", "--out", tmp_path / "run")
    assert done.status == 0, done.stderr
    assert "content-type" in endpoint.headers
    assert not {"openai-organization", "openai-project"} & endpoint.headers
