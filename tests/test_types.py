"""Types hold: a test, so that mypy has one core of a machine while other tests have the rest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_mypy_finds_nothing() -> None:
    """What `make lint` does alone."""
    given = os.environ | {"PYTHON": sys.executable}
    done = subprocess.run([ROOT / ".ci/types"], env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues found" in done.stdout
