import pytest
from click.testing import CliRunner

from qibox.cli.doctor import command
from qibox.errors import UsageError


def run(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_without_arguments_the_miniature_panel_fits(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    output = run()
    assert "memory" in output
    assert "torch" in output
    rows = [line.split() for line in output.splitlines() if "transformers  yes" in line]
    assert [row[0] for row in rows] == [
        "strong", "cautious", "compliant", "nearsighted", "agreeable", "homely", "confused",
    ]  # fmt: skip


def test_a_judge_behind_an_endpoint_is_checked_too(monkeypatch, tmp_path):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    path = tmp_path / "judge.yaml"
    path.write_text(
        "{name: far, about: x, kind: generative, model: {source: m, engine: openai, "
        "settings: {base_url: 'http://127.0.0.1:9/v1', api_key_env: NO_SUCH_KEY}}}"
    )
    output = run("--judge", str(path))
    assert "judge far" in output
    assert "NO_SUCH_KEY" in output


def test_the_disk_that_a_panel_and_its_judge_take_is_summed(monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    output = run("--panel", "seven", "--judge", "grm")
    # Billions of parameters × 2 bytes: 8.3 + 8.8 + 7.9 + 12.2 + 10.3 + 8.0 + 7.6 + 33.5 = 96.6.
    assert "to fetch: 193 GB for 8 models (published sizes, not checked)" in output
    assert "`qibox fetch --panel seven --judge grm` brings them" in output
    rows = [line for line in output.splitlines() if "nvidia-h100-80gb" in line]
    assert len(rows) == 8
    assert "80 GB on 1 nvidia-h100-80gb" in rows[-1]


def test_an_unknown_panel_is_one_sentence():
    with pytest.raises(UsageError, match="no panel manifest named 'nobody'"):
        CliRunner().invoke(command, ["--panel", "nobody"], catch_exceptions=False)


def test_help_shows_an_example():
    assert "Example: qibox doctor --panel seven" in run("--help")
