import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from qibox.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[2]


def test_the_list_of_commands_names_each_with_a_line() -> None:
    shown = CliRunner().invoke(cli, ["--help"])
    assert shown.exit_code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name}  +\S", shown.output, re.MULTILINE), name


def test_without_a_command_it_ends_with_lines_that_can_be_pasted() -> None:
    """From the repository's root without its environment's folder on the PATH, as after setup."""
    program = Path(sys.executable).with_name("qibox")
    bare = {**os.environ, "PATH": os.defpath}
    shown = subprocess.run([program], capture_output=True, text=True, env=bare, cwd=ROOT)
    assert shown.returncode == 0
    lines = [line.strip() for line in shown.stdout.partition("paste a line")[2].splitlines()]
    pasted = [line for line in lines[1:] if not line.startswith("#")]
    assert [line.split()[1:] for line in pasted] == [["demo"], ["doctor"], ["score", "--help"]]
    done = subprocess.run(pasted[2], shell=True, capture_output=True, text=True, env=bare, cwd=ROOT)
    assert (done.returncode, "Example: qibox score" in done.stdout) == (0, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_of_the_command(name: str) -> None:
    shown = CliRunner().invoke(cli, [name, "--help"])
    assert shown.exit_code == 0
    assert re.search(rf"Examples?:\s+qibox {name}", shown.output), shown.output


def documented_commands() -> list[str]:
    """Every `qibox …` line of the documents' code blocks, without its remark."""
    texts = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [b for t in texts for b in re.findall(r"```\w*\n(.*?)```", t.read_text(), re.DOTALL)]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line.split("  #")[0] for line in lines if line.startswith("qibox ")]


def test_documented_commands_and_options_exist() -> None:
    lines = documented_commands()
    assert len(lines) >= 8
    for line in lines:
        name = line.split()[1]
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, line
        known = {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
        used = re.findall(r"(?<!\S)--?[a-z][a-z-]*", line.split(" -- ")[0])
        assert set(used) <= known | {"--help"}, line
