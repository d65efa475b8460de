"""`qibox audit` through the command line, on a run that two judges and people rated."""

import shlex
from pathlib import Path

import pytest

from qibox.run.directory import Run
from tests.audit.judging import judged_twice
from tests.audit.test_report import FIRST, SECOND
from tests.commands import qibox


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("audited")
    judged_twice(made, FIRST, SECOND)
    return made


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(folder)
    return Run.open("run")


def test_tables_and_commands_that_run(run: Run) -> None:
    done = qibox("audit", "run", "--judges", "first", "second")
    assert done.status == 0, done.stderr
    assert "second compared with first: 11 answers that both rated" in done.stdout
    assert "0.818" in done.stdout  # accuracy on safe, 9 of 11
    shown = [line for line in done.stdout.splitlines() if line.startswith("qibox show")]
    assert len(shown) == 3
    first = qibox(*shlex.split(shown[0], comments=True)[1:])
    assert (first.status, "ada says 0.1" in first.stdout) == (0, True)
    kept = qibox("sql", "run", "select value from audits where statistic = 'kappa'", "-o", "k.csv")
    assert kept.status == 0, kept.stderr
    drawn = Path("run/audits/judge=first/other=second/audit.png").read_bytes()
    assert qibox("audit", "run").status == 0  # by default the first two
    assert Path("run/audits/judge=first/other=second/audit.png").read_bytes() == drawn
    assert qibox("plot", "run", "audit", "-o", "again.png").status == 0
    assert Path("again.png").read_bytes() == drawn


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--judges", "first", "grm"], "no judge 'grm' in run"),
        (["--selection", "best"], "no selection named 'best' in run"),
    ],
)
def test_each_mistake_has_its_sentence(run: Run, arguments: list[str], message: str) -> None:
    done = qibox("audit", run.storage.url, *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert message in done.stderr.replace(run.storage.url, "run")
    assert done.stderr.count("\n") == 1


def test_one_judge_is_too_few(tmp_path: Path) -> None:
    one = judged_twice(tmp_path, FIRST, SECOND)
    one = Run.create(
        one.storage, one.manifest.model_copy(update={"judges": one.manifest.judges[:1]})
    )
    done = qibox("audit", one.storage.url)
    assert done.status == 2
    assert "has one judge, first, and an audit compares two: `qibox judge" in done.stderr
    assert "--judge NAME" in done.stderr
