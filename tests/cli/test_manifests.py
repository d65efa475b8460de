from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from qibox.cli.main import cli
from qibox.errors import UsageError
from qibox.manifests.load import KINDS, list_manifests


def qibox(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["manifests", *(str(argument) for argument in arguments)])


def test_help_shows_an_example() -> None:
    assert "Example: qibox manifests" in qibox("--help").output


def test_all_are_listed_with_their_doubts() -> None:
    result = qibox()
    assert result.exit_code == 0
    for kind, folder in KINDS.items():
        assert folder in result.output
        for name in list_manifests(kind):
            assert name in result.output
    assert "unverified" in result.output


def test_one_kind_alone() -> None:
    listed = qibox("--kind", "boxes").output
    assert "qi-safe-10k" in listed
    assert "beavertails-v" not in listed


def test_one_is_printed_as_it_is_written() -> None:
    result = qibox("siuo")
    assert result.exit_code == 0
    assert result.output.startswith("# pools/siuo.yaml\n")
    assert yaml.safe_load(result.output)["rows"] == 167


def test_a_name_of_several_kinds_prints_each() -> None:
    printed = qibox("mini").output
    for folder in ("pools", "panels", "boxes", "recipes", "suites"):
        assert f"# {folder}/mini.yaml" in printed
    assert "# pools/mini.yaml" not in qibox("mini", "--kind", "boxes").output


def test_an_unknown_name_is_a_wrong_usage() -> None:
    error = qibox("siou").exception
    assert isinstance(error, UsageError)
    assert "no manifest named 'siou': shipped ones are beavertails-v" in str(error)


def test_a_file_of_one_s_own_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nabout: Mine.\nformat: csv\npath: p.csv\n")
    assert f"{file} is right: pools, 'mine', Mine." in qibox(file, "--kind", "pools").output
    with pytest.raises(UsageError, match="give --kind, one of pools, panels"):
        raise qibox(file).exception or AssertionError("accepted")
    file.write_text("name: mine\nabout: Mine.\nformat: csv\npath: p.csv\nfoo: 1\n")
    assert "unknown field 'foo'" in str(qibox(file, "--kind", "pools").exception)
