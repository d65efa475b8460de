import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from qibox.cli.doctor import command
from qibox.errors import UsageError
from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest


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
    assert "40 GB on 1 nvidia-h100-80gb" in rows[-1]  # the judge is quantised to 8 bits


def test_an_unknown_panel_is_one_sentence():
    with pytest.raises(UsageError, match="no panel manifest named 'nobody'"):
        CliRunner().invoke(command, ["--panel", "nobody"], catch_exceptions=False)


def test_help_shows_an_example():
    assert "Example: qibox doctor --panel seven" in run("--help")


SCALE = Path(__file__).parents[2] / "docs" / "scale.md"
SHOWN = re.findall(r"```\n\$ qibox doctor (.*)\n((?:.+\n)+?)```", SCALE.read_text())


@pytest.mark.parametrize(("arguments", "printed"), SHOWN)
def test_the_sums_on_the_page_are_those_of_the_command(arguments, printed):
    assert run(*arguments.split()) == printed


def test_the_page_has_full_and_adapted_training_of_both_sizes():
    assert len(SHOWN) >= 5
    for size in ("3b", "7b"):
        mine = [arguments for arguments, _ in SHOWN if f"safer-vlm-{size}" in arguments]
        assert {"--lora" in arguments for arguments in mine} == {True, False}


def test_a_policy_that_is_nowhere_is_one_sentence(tmp_path):
    recipe = load_manifest(RecipeManifest, "safer-vlm-3b").model_dump(mode="json")
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(recipe | {"policy": "nobody/nothing"}))
    with pytest.raises(UsageError, match="the sizes of nobody/nothing are not known"):
        CliRunner().invoke(command, ["--recipe", str(path)], catch_exceptions=False)


def test_a_judge_that_transformers_loads_is_counted_and_can_be_elsewhere(tmp_path):
    judge = load_manifest(JudgeManifest, "grm").model_dump(mode="json", exclude_unset=True)
    model = judge["model"] | {"engine": "transformers", "settings": {"dtype": "bfloat16"}}
    (tmp_path / "near.yaml").write_text(yaml.safe_dump(judge | {"name": "near", "model": model}))
    recipe = load_manifest(RecipeManifest, "safer-vlm-3b").model_dump(mode="json")
    (tmp_path / "own.yaml").write_text(
        yaml.safe_dump(recipe | {"judge": str(tmp_path / "near.yaml")})
    )
    output = run("--recipe", str(tmp_path / "own.yaml"), "--lora", "8", "--gpu-gib", "80")
    assert "\njudge " in output
    assert "  ask the judge elsewhere (judge_at): " in output
