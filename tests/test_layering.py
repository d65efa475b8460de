"""Who may import whom: the domain knows nothing of Beam, TRL or the command line.

Inside the domain, no arrow between its folders runs in a circle.
"""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"qibox": ROOT / "qibox", "pipelines": ROOT / "pipelines", "grpo": ROOT / "grpo"}
FORBIDDEN = {
    "qibox": ("qibox.pipelines", "qibox.grpo", "qibox.cli"),
    "pipelines": ("qibox.grpo", "qibox.cli"),
    "grpo": ("qibox.pipelines", "qibox.cli"),
}
TOP_LEVEL_COPIES = {"pipelines", "grpo", "cli", "data_manifests"}  # reached only through qibox.…
HEAVY = ("torch", "transformers", "apache_beam", "trl", "vllm", "openai", "datasets")


def imported_names(source: str | ast.AST) -> set[str]:
    """Every module that a source imports, at any depth; ``from a import b`` gives a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source) if isinstance(source, str) else source):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the direction"
            names |= {str(node.module)} | {f"{node.module}.{a.name}" for a in node.names}
    return names


def violations(package: str, source: str) -> set[str]:
    names = imported_names(source)
    bad = {n for n in names if any(f"{n}.".startswith(f"{f}.") for f in FORBIDDEN[package])}
    return bad | {n for n in names if n.split(".")[0] in TOP_LEVEL_COPIES}


def test_the_check_sees_a_violation() -> None:
    assert violations("qibox", "def f():\n    from qibox import grpo") == {"qibox.grpo"}
    assert violations("grpo", "import qibox.pipelines.worker") == {"qibox.pipelines.worker"}
    assert violations("grpo", "import cli.main") == {"cli.main"}
    assert violations("qibox", "import qibox.scores, json") == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    files = sorted(PACKAGES[package].rglob("*.py"))
    assert files
    found = {str(f.relative_to(ROOT)): violations(package, f.read_text()) for f in files}
    assert {name: bad for name, bad in found.items() if bad} == {}


def test_the_command_line_imports_nothing_heavy_at_module_level() -> None:
    for file in sorted((ROOT / "cli").glob("*.py")):
        top = [
            n
            for n in ast.parse(file.read_text()).body
            if isinstance(n, ast.Import | ast.ImportFrom)
        ]
        names = imported_names("\n".join(ast.unparse(node) for node in top))
        assert not {n for n in names if n.split(".")[0] in HEAVY}, file.name


def test_importing_the_domain_pulls_in_nothing_heavy() -> None:
    code = (
        "import sys, qibox, qibox.run.directory, qibox.scores, qibox.box, qibox.verdict, "
        "qibox.manifests, qibox.scoring.plan, qibox.evaluation.rates, qibox.policies.directory, "
        "qibox.catalog.connect, qibox.selection.write, qibox.pool.ingest, qibox.judges.load, "
        "qibox.engines.load, qibox.mini.pool, qibox.mini.oracle, qibox.cli.main\n"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def beam_files(sources: Mapping[str, str]) -> set[str]:
    """Which of the modules of qibox.pipelines import Beam, or are needed by one that does."""
    names = {module: imported_names(source) for module, source in sources.items()}
    found = {m for m, n in names.items() if any(x.split(".")[0] == "apache_beam" for x in n)}
    while more := {m for m in sources if any(m in names[f] for f in found)} - found:
        found |= more
    return found


def test_only_pipelines_imports_beam_and_it_holds_nothing_else() -> None:
    own = {
        f"qibox.pipelines.{file.stem}": file.read_text()
        for file in (ROOT / "pipelines").glob("*.py")
        if file.stem != "__init__"
    }
    assert set(own) - beam_files(own) == {"qibox.pipelines.run"}  # the run from start to end
    assert "qibox.pipelines.wave" in imported_names(own["qibox.pipelines.run"])
    others = [f for folder in ("qibox", "grpo", "cli") for f in (ROOT / folder).rglob("*.py")]
    assert len(others) > 100
    for file in others:
        roots = {name.split(".")[0] for name in imported_names(file.read_text())}
        assert "apache_beam" not in roots, file


def test_the_check_sees_a_file_without_beam() -> None:
    sources = {
        "qibox.pipelines.a": "import apache_beam as beam\nfrom qibox.pipelines.b import x",
        "qibox.pipelines.b": "from qibox.pipelines import c",
        "qibox.pipelines.c": "",
        "qibox.pipelines.d": "import qibox.pipelines.a",
    }
    assert set(sources) - beam_files(sources) == {"qibox.pipelines.d"}


class WhenRun(ast.NodeTransformer):
    """Leaves out what only a type checker imports."""

    def visit_If(self, node: ast.If) -> object:
        """Keep the other branch of ``if TYPE_CHECKING``."""
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return [self.visit(each) for each in node.orelse]
        return self.generic_visit(node)


def room(module: str) -> str:
    """The folder of the domain that a module lies in; a top-level module is a room of its own."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def fronts(tree: ast.AST, sources: Mapping[str, str]) -> set[str]:
    """The package itself, if more of it is imported than modules: ``from qibox import hashing``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name == "qibox" for alias in node.names):
            return {"qibox"}
        if not isinstance(node, ast.ImportFrom) or node.module != "qibox":
            continue
        if any(f"qibox.{alias.name}" not in sources for alias in node.names):
            return {"qibox"}
    return set()


def arrows(sources: Mapping[str, str]) -> dict[str, dict[str, set[str]]]:
    """From each room of the domain to those it imports when it runs, and the imports between."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for module, source in sources.items():
        tree = WhenRun().visit(ast.parse(source))
        for name in imported_names(tree) - ({"qibox"} - fronts(tree, sources)):
            if name in sources and room(name) != room(module):
                found[room(module)][room(name)].add(f"{module} imports {name}")
    return found


def circle(found: Mapping[str, Iterable[str]]) -> list[str]:
    """Rooms that lead back to the first of them; empty where there is no circle."""
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))  # each room is imported by the one after it
    return []


def test_no_arrow_between_rooms_runs_in_a_circle() -> None:
    files = {file: file.relative_to(ROOT).with_suffix("") for file in ROOT.glob("qibox/**/*.py")}
    names = {file: ".".join(path.parts).removesuffix(".__init__") for file, path in files.items()}
    found = arrows({name: file.read_text() for file, name in names.items()})
    rooms = {"run", "manifests", "pool", "engines", "judges", "scoring", "selection", "policies"}
    assert rooms | {"evaluation", "catalog", "doctor", "mini", "opened"} <= set(found)
    around = circle(found)
    assert not around, [sorted(found[a][b]) for a, b in pairwise(around)]


def test_the_check_sees_a_circle_and_not_one_for_types_alone() -> None:
    one = {"qibox.a.x": "def f():\n    from qibox.b import y", "qibox.b.y": ""}
    assert circle(arrows(one | {"qibox.b": "import json"})) == []
    back = {"qibox.b": "", "qibox.b.y": "from qibox.c import z"}
    ring = arrows(one | back | {"qibox.c": "import qibox.a.x"})
    around = circle(ring)
    assert {"a", "b", "c"} == set(around)
    assert all(b in ring[a] for a, b in pairwise(around))
    front = {"qibox": "from qibox.c import z", "qibox.a.x": "from qibox import b", "qibox.b": ""}
    assert circle(arrows(front | {"qibox.c": "import qibox.a.x"})) == []
    names_it = front | {"qibox.a.x": "from qibox import open", "qibox.c": "import qibox.a.x"}
    assert {"qibox", "a", "c"} == set(circle(arrows(names_it)))
    typed = "if TYPE_CHECKING:\n    import qibox.a.x\nelse:\n    import json"
    assert circle(arrows(one | back | {"qibox.c": typed})) == []
