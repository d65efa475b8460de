import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from qibox.cli.called import called
from qibox.cli.demo import FURTHER
from tests.runs import sample, write_run

BIN = Path(sys.executable).parent


def test_a_program_that_is_not_on_the_path_is_called_by_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(BIN))
    assert called() == "qibox"
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.chdir(BIN.parent)
    assert called() == f"{BIN.name}/qibox"
    monkeypatch.chdir(BIN / "..")
    monkeypatch.chdir("/")
    assert Path(called()).samefile(BIN / "qibox")


def test_the_last_lines_run_as_they_stand(tmp_path: Path) -> None:
    write_run(tmp_path / "a run", [sample("mini-000000", 5.0, 1.0)])
    program = shlex.quote(str(BIN / "qibox"))
    for name, more, _ in FURTHER:
        line = f"{program} {shlex.join([name, str(tmp_path / 'a run'), *more])}"
        done = subprocess.run(line, shell=True, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stderr)
