"""Change the scores, the box and the verdict in small ways, one at a time: do their tests notice?

Reads the checkout, writes nothing in it: each module is mutated by cosmic-ray in a copy of its own.
Prints what survived and the share killed; exit status 1 if that is below the least allowed.

    python tests/tools/mutants.py
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import WorkerOutcome

ROOT = Path(__file__).parents[2]
MODULES = {  # longest first
    "qibox/scores.py": "tests/test_scores.py",
    "qibox/verdict.py": "tests/test_verdict.py",
    "qibox/box.py": "tests/test_box.py",
}
LEAST_KILLED = 0.97
SECONDS_EACH = 60  # a mutant that runs longer hangs, and counts as killed

# Left out so as not to flatter the figure: on floats these are type errors that any test sees.
EXCLUDED = (
    "core/ReplaceBinaryOperator_.*_(BitXor|LShift|RShift|FloorDiv|Mod|Pow)",
    "core/ReplaceBinaryOperator_(Add|Sub|Mul|Div|Pow)_Bit(And|Or)",
    "core/ReplaceBinaryOperator_BitOr_.*",  # `float | None` in annotations
    "core/ReplaceBinaryOperator_BitAnd_(Add|Sub|Mul|Div)",
    "core/ReplaceComparisonOperator_.*_(Is|IsNot)",
)

CONFIG = """
[cosmic-ray]
module-path = "{module}"
timeout = {timeout}
excluded-modules = []
test-command = "{python} -m pytest -x -q -p no:cacheprovider --hypothesis-seed=0 {tests}"
[cosmic-ray.distributor]
name = "local"
[cosmic-ray.filters.operators-filter]
exclude-operators = [{excluded}]
"""


def mutate(module: str) -> tuple[int, list[str]]:
    """Try every mutant of one module; returns how many there were, and the survivors' diffs."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        leave = shutil.ignore_patterns("__pycache__", "models")
        shutil.copytree(ROOT / "qibox", copy / "qibox", ignore=leave)
        (copy / "tests").mkdir()
        for file in (MODULES[module], "tests/conftest.py"):  # without it, laws have a deadline
            shutil.copy(ROOT / file, copy / "tests")
        excluded = ", ".join(f'"{pattern}"' for pattern in EXCLUDED)
        config = CONFIG.format(
            module=module,
            timeout=SECONDS_EACH,
            python=sys.executable,
            tests=MODULES[module],
            excluded=excluded,
        )
        (copy / "config.toml").write_text(config)
        _check_that_the_copy_is_tested(copy, module)
        _run(copy, "cosmic_ray.cli", "init", "config.toml", "session.sqlite")
        _run(copy, "cosmic_ray.tools.filters.operators_filter", "session.sqlite", "config.toml")
        _run(copy, "cosmic_ray.cli", "exec", "config.toml", "session.sqlite")
        return _outcome(copy / "session.sqlite")


def _check_that_the_copy_is_tested(copy: Path, module: str) -> None:
    name = module.removesuffix(".py").replace("/", ".")
    code = f"import {name}; print({name}.__file__)"
    command, alone = [sys.executable, "-c", code], _environment(copy)
    found = subprocess.run(command, cwd=copy, env=alone, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).resolve() == (copy / module).resolve(), found.stdout
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", MODULES[module]]
    subprocess.run(tests, cwd=copy, env=alone, check=True, stdout=subprocess.DEVNULL)


def _run(folder: Path, *command: str) -> None:
    own = _environment(folder)
    subprocess.run([sys.executable, "-m", *command], cwd=folder, env=own, check=True)


def _environment(copy: Path) -> dict[str, str]:
    """One in which the copy comes first, also for what a .pth file imports as Python starts."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}


def _outcome(session: Path) -> tuple[int, list[str]]:
    with use_db(str(session), WorkDB.Mode.open) as database:
        done = [result for _, result in database.completed_work_items]
        assert not list(database.pending_work_items)
    tried = [result for result in done if result.worker_outcome == WorkerOutcome.NORMAL]
    skipped = sum(result.worker_outcome == WorkerOutcome.SKIPPED for result in done)
    assert len(tried) + skipped == len(done), "a mutant could not be run"
    return len(tried), [str(result.diff) for result in tried if not result.is_killed]


def main() -> int:
    """Try all mutants of all modules, two modules at a time."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        outcomes = dict(zip(MODULES, pool.map(mutate, MODULES), strict=True))
    for module, (_, survivors) in outcomes.items():
        for diff in survivors:
            print(f"survived in {module}:\n{diff}\n")
    for module, (tried, survivors) in outcomes.items():
        print(f"{module}: {tried - len(survivors)} of {tried} mutants killed")
    tried = sum(number for number, _ in outcomes.values())
    killed = tried - sum(len(survivors) for _, survivors in outcomes.values())
    print(f"mutants killed: {killed} of {tried} ({killed / tried:.1%})")
    return 0 if killed >= LEAST_KILLED * tried else 1


if __name__ == "__main__":
    sys.exit(main())
