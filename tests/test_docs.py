"""The docs: the site builds and fetches nothing, its commands parse and run, its code runs."""

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest
import yaml
from mkdocs.commands.build import build
from mkdocs.config import load_config

import qibox
from docs import hooks
from qibox.catalog.cookbook import load_cookbook
from qibox.cli.main import COMMANDS, cli
from qibox.manifests.load import KINDS
from tests.commands import qibox as run_command
from tests.evaluations import write_world
from tests.tools import cookbook

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "benchmarks/README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`(qibox [a-z][^`\n]*)`")
CHEAP = ("status", "select", "sql", "show", "plot", "manifests")  # run on a miniature run
ELSEWHERE = (  # what wants more samples than that run has, a training, or files of its own
    "--random 4",
    "--random 2",
    "--size 240",
    "--rank trainee",
    "plot runs/mini training",
    "my-pool.yaml",
    "s3://",
    "--image picture.png",
)


def commands_of(text: str) -> Iterator[str]:
    """Each `qibox …` of a page: lines of its blocks, with what continues them, and spans."""
    for language, block in FENCE.findall(text):
        if language in ("", "bash", "sh"):
            lines = iter(block.splitlines())
            for line in lines:
                while line.endswith("\\") or line.count('"') % 2:
                    line = line.removesuffix("\\") + "\n" + next(lines)
                if line.startswith("qibox "):
                    yield line
    yield from SPAN.findall(FENCE.sub("", text))


def examples_of(command: str) -> Iterator[str]:
    """The examples in a command's help."""
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    _, _, examples = (found.help or "").partition("Example")
    block = "\n".join(line.strip() for line in examples.partition(":")[2].splitlines())
    yield from commands_of(f"```\n{block.strip()}\n```")


def spelled(command: str) -> list[str]:
    """A command's words; a placeholder such as N or SEED becomes a number."""
    words = shlex.split(command, comments=True)[1:]
    return [re.sub(r"^([A-Z_]+)$", "1", word) for word in words if word not in ("…", "...")]


DOCUMENTED = sorted(
    {(page.name, command) for page in PAGES for command in commands_of(page.read_text())}
    | {("--help", command) for name in COMMANDS for command in examples_of(name)}
)


def test_there_are_commands_to_check() -> None:
    assert len(DOCUMENTED) > 60
    assert {spelled(command)[0] for _, command in DOCUMENTED} >= {*COMMANDS} - {"demo"}


@pytest.mark.parametrize(("page", "command"), DOCUMENTED)
def test_every_command_of_the_docs_is_one(page: str, command: str) -> None:
    name, *arguments = spelled(command)
    found = cli.get_command(click.Context(cli), name)
    assert found is not None, name
    if arguments:  # else it is only named
        found.make_context(name, arguments)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose runs/mini is scored, selected from, evaluated and audited."""
    folder = tmp_path_factory.mktemp("docs")
    write_world(folder)
    (folder / "runs").mkdir()
    (folder / "run").rename(folder / "runs/mini")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run_command("select", "--random", 4).status == 0
        asked = ["--policy", "first", "--pool", "held.yaml", "--replay", "answers"]
        done = run_command("eval", "runs/mini", *asked, "--judge", "hash")
        assert done.status == 0, done.stderr
        assert run_command("judge", "runs/mini", "--judge", "other.yaml", "-q").status == 0
        assert run_command("audit", "runs/mini").status == 0
    return folder


@pytest.fixture
def inside(world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(world)
    return world


def runnable() -> Iterator[str]:
    """The commands that a small run answers, each once, without their remarks."""
    for _, command in DOCUMENTED:
        name, *words = shlex.split(command, comments=True)[1:]
        asks_for_more = name in ("select", "plot", "sql") and not words
        if name in CHEAP and not asks_for_more and not any(each in command for each in ELSEWHERE):
            yield shlex.join([name, *words])


@pytest.mark.parametrize("command", dict.fromkeys(runnable()))
def test_what_runs_on_a_miniature_run_is_run(command: str, inside: Path) -> None:
    replaced = {"RUN": "runs/mini", "SAMPLE_ID": "small:s0", "mini-000007": "small:s0"}
    name, *arguments = (replaced.get(word, word) for word in shlex.split(command))
    if name == "select":
        arguments += ["--dry-run", "--overwrite"]
    Path("mini.duckdb").unlink(missing_ok=True)
    done = run_command(name, *arguments)
    assert done.status == 0, done.stderr


def test_the_code_on_the_python_page_runs(inside: Path) -> None:
    text = (ROOT / "docs/python.md").read_text()
    names: dict[str, object] = {}
    for language, block in FENCE.findall(text):
        assert language == "python"
        for node in ast.parse(block).body:
            exec(compile(ast.Module([node], []), "python.md", "exec"), names)
    assert Path("models.svg").read_text().startswith("<?xml")


NOTEBOOK = """
from docs import notebook
from qibox.opened import OpenRun

outputs, found = notebook.app.run()
assert isinstance(found["run"], OpenRun)
assert "answer" in found["sample"]._repr_html_()
assert list(found["chosen"].mix.columns) == ["dimension", "value", "before", "after"]
assert len(outputs) >= 12
found["run"].close()
"""


def test_the_notebook_runs_from_its_first_cell_to_its_last(inside: Path) -> None:
    # In a process of its own: where marimo is imported, transformers takes itself to be in IPython.
    path = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        env=os.environ | path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class Fetched(HTMLParser):
    """What a page loads from elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in ("src", "href", "data", "srcset"):
            address = given.get(name) or ""
            if tag != "a" and re.match(r"(https?:)?//", address):
                self.addresses.append(address)


def test_the_site_builds_whole_and_fetches_nothing(tmp_path: Path) -> None:
    config = load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path / "site"))
    build(config)  # strict: a link or an anchor that leads nowhere is an error
    pages = {path.name: path.read_text() for path in (tmp_path / "site").glob("*.html")}
    listed = {name.replace(".md", ".html") for item in config.nav for name in item.values()}
    assert listed < {*pages}
    assert {name: found for name, html in pages.items() if (found := Fetched(html).addresses)} == {}
    for style in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)[\"' ]*(?:https?:)?//", style.read_text()), style
    assert not list((tmp_path / "site").rglob("*.py"))


def test_the_check_sees_what_is_fetched() -> None:
    html = "<a href='https://x'>x</a><script src='https://y'></script><link href='//z'>"
    assert Fetched(html).addresses == ["https://y", "//z"]


def test_every_field_of_every_manifest_is_described() -> None:
    text = hooks.manifests()
    for kind in KINDS:
        assert all(f"| `{name}` |" in text for name in kind.model_fields), kind
    assert "| `u_min` | [Edge](#edge) | required | deciding |" in text
    row = "| `min_models` | integer ≥ 1 | `1` | deciding | models judged, below which a score is "
    assert row in text
    assert "`builtin:&lt;name>`" not in text
    assert "builtin:&lt;name>" in text


def test_every_command_has_its_help_in_the_reference() -> None:
    text = hooks.commands()
    assert [line[9:] for line in text.splitlines() if line.startswith("## qibox ")] == [*COMMANDS]
    assert "--u-min X" in text


def test_the_sql_page_has_every_question_with_its_query(inside: Path) -> None:
    text = (ROOT / "docs/sql.md").read_text()
    found = re.findall(r"^## ([^\n]+)\n\n```sql\n(.*?)```\n", text, re.DOTALL | re.MULTILINE)
    assert found == [(each.asks, each.query) for each in load_cookbook()]
    assert len(found) >= 20
    with qibox.open() as opened:
        for question in load_cookbook():
            columns = opened.sql(question.query).columns
            answer = text.partition(f"## {question.asks}\n")[2].partition("\n## ")[0]
            heading = f"| {' | '.join(columns)} |"
            assert heading in answer or "No rows." in answer, question.name
    assert text.startswith(cookbook.HEAD.partition("{views}")[0])


def test_the_makefile_builds_the_site() -> None:
    assert yaml.safe_load((ROOT / "mkdocs.yml").read_text())["site_dir"] == "build/docs"
    assert "mkdocs build --strict" in (ROOT / "Makefile").read_text()
