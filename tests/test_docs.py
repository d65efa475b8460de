"""The docs: the site builds and fetches nothing, its commands parse, its code runs.

That its commands run is tests/test_docs_commands.py.
"""

import ast
import os
import re
import subprocess
import sys
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
from tests.documented import DOCUMENTED, FENCE, ROOT, words_of
from tests.evaluations import write_world
from tests.tools import cookbook


def test_there_are_commands_to_check() -> None:
    assert len(DOCUMENTED) > 60
    assert {words_of(command)[0] for _, command in DOCUMENTED} >= {*COMMANDS} - {"demo"}


@pytest.mark.parametrize(("page", "command"), DOCUMENTED)
def test_every_command_of_the_docs_is_one(page: str, command: str) -> None:
    name, *arguments = (re.sub(r"^([A-Z_]+)$", "1", word) for word in words_of(command))
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
