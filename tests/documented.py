"""The commands that the docs show: in their blocks, in their sentences, in the commands' help."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from qibox.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "benchmarks/README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`((?:qibox|python|make) [a-z.-][^`\n]*)`")
PROGRAM = re.compile(r"(?:\$ )?((?:qibox|python|make) .*)", re.DOTALL)


def commands_of(text: str) -> Iterator[str]:
    """Each command of a page: lines of its blocks, with what continues them, and spans."""
    for language, block in FENCE.findall(text):
        if language in ("", "bash", "sh"):
            lines = iter(block.splitlines())
            for line in lines:
                while line.endswith("\\") or line.count('"') % 2:
                    line = line.removesuffix("\\") + "\n" + next(lines)
                if found := PROGRAM.fullmatch(line):
                    yield found[1]
    yield from SPAN.findall(FENCE.sub("", text))


def examples_of(command: str) -> Iterator[str]:
    """The examples in a command's help."""
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    _, _, examples = (found.help or "").partition("Example")
    block = "\n".join(line.strip() for line in examples.partition(":")[2].splitlines())
    yield from commands_of(f"```\n{block.strip()}\n```")


def words_of(command: str) -> list[str]:
    """A command's words after the program's name, without its remark and what is left out."""
    return [word for word in shlex.split(command, comments=True)[1:] if word not in ("…", "...")]


_FOUND = sorted(
    {(page.name, command) for page in PAGES for command in commands_of(page.read_text())}
    | {("--help", command) for name in COMMANDS for command in examples_of(name)}
)
DOCUMENTED = [(page, command) for page, command in _FOUND if command.startswith("qibox ")]
OTHERS = [(page, command) for page, command in _FOUND if not command.startswith("qibox ")]
