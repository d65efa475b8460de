import pytest

import qibox
from qibox.catalog.cookbook import Question, load_cookbook
from qibox.opened import OpenRun
from tests.runs import sample, write_run


def test_every_question_has_a_name_of_its_own() -> None:
    names = [question.name for question in load_cookbook()]
    assert len(names) == len(set(names)) >= 3


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenRun:
    run = write_run(tmp_path_factory.mktemp("cookbook") / "run", [sample("a", 5, 2)])
    return qibox.open(run.storage.url)


@pytest.mark.parametrize("question", load_cookbook(), ids=lambda question: question.name)
def test_every_query_runs_on_any_run(question: Question, opened: OpenRun) -> None:
    assert opened.sql(question.query).columns
