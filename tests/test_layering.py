"""Who may import whom: the domain knows nothing of Beam, TRL or the command line."""

import ast
import subprocess
import sys
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


def imported_names(source: str) -> set[str]:
    """Every module that a source imports, at any depth; ``from a import b`` gives a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
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
