import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import qibox
from qibox.cli import sql as sql_module
from qibox.cli.main import cli
from qibox.cli.sql import interact, read_queries, split_arguments
from qibox.errors import UsageError
from qibox.run.directory import DEFAULT_RUN, Run
from tests.runs import sample, write_run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    odd = 'a | "b", \x1b[31mc\nd'
    rows = [sample("a", 5, 2, question=odd), sample("b", None, None), sample("c", 7, 1)]
    return write_run(DEFAULT_RUN, rows)


def sql(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["sql", *arguments], input=stdin)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), (DEFAULT_RUN, None)),
        (("select 1",), (DEFAULT_RUN, "select 1")),
        (("runs/other",), ("runs/other", None)),
        (("other", "from pool"), ("other", "from pool")),
    ],
)
def test_one_argument_is_a_query_if_it_has_white_space(
    arguments: tuple[str, ...], expected: tuple[str, str | None]
) -> None:
    assert split_arguments(arguments) == expected


def test_a_query_without_quotes_is_told_so() -> None:
    with pytest.raises(UsageError, match=r"4 arguments were given, .* put the query in quotes"):
        split_arguments(("select", "1", "from", "pool"))


def test_csv_is_what_a_reader_of_csv_gets_back(run: Run) -> None:
    done = sql(
        "select sample_id, question, quality from pool join scores using (sample_id) order by all",
        "--format",
        "csv",
    )
    assert done.exit_code == 0
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert rows == [
        ["sample_id", "question", "quality"],
        ["a", 'a | "b", \x1b[31mc\nd', "5.0"],
        ["b", "what is in b ?", ""],
        ["c", "what is in c ?", "7.0"],
    ]


def test_json_is_one_object_a_line(run: Run) -> None:
    query = "select sample_id, quality, sum(1) over () as n, [1] as l from scores order by all"
    lines = sql(query, "--format", "json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"sample_id": "a", "quality": 5.0, "n": 3, "l": [1]},
        {"sample_id": "b", "quality": None, "n": 3, "l": [1]},
        {"sample_id": "c", "quality": 7.0, "n": 3, "l": [1]},
    ]


def test_markdown_keeps_its_columns_apart(run: Run) -> None:
    done = sql("select sample_id, question from pool limit 1", "--format", "markdown")
    assert done.stdout.splitlines() == [
        "| sample_id | question |",
        "| --- | --- |",
        '| a | a \\| "b", \\x1b[31mc d |',
    ]


def test_a_table_shows_null_and_cannot_colour_the_terminal(run: Run) -> None:
    done = sql("select question, quality from pool join scores using (sample_id) order by 2")
    assert "\x1b" not in done.stdout
    assert "\\x1b[31mc" in done.stdout
    assert "NULL" in done.stdout


def test_pictures_are_named_by_their_size_in_every_format(run: Run) -> None:
    for form in ("table", "csv", "json", "markdown"):
        shown = sql("select image from pool limit 1", "--format", form).stdout
        assert "<picture of " in shown
        assert "PNG" not in shown


def test_a_table_stops_at_max_rows_and_says_so(run: Run) -> None:
    done = sql("select sample_id from pool order by 1", "--max-rows", "2", "--format", "markdown")
    assert done.stdout.splitlines()[2:] == ["| a |", "| b |"]
    assert "the first 2 rows; --max-rows shows more" in done.stderr
    whole = sql("select sample_id from pool", "--max-rows", "3", "--format", "markdown")
    assert whole.stderr == ""
    assert len(sql("from pool", "--max-rows", "1", "--format", "json").stdout.splitlines()) == 3


def test_two_columns_of_one_name_are_both_shown(run: Run) -> None:
    done = sql("select 1 as x, 2 as x", "--format", "csv")
    assert done.stdout.splitlines() == ["x,x", "1,2"]


def test_a_plan_is_drawn_as_it_is(run: Run) -> None:
    lines = sql("explain select 1").stdout.splitlines()
    assert lines[0].startswith("╭─")
    assert "explain_key" not in lines


def test_the_query_comes_from_standard_input(run: Run) -> None:
    done = sql("--format", "csv", stdin="select count(*) as n\nfrom pool;\n")
    assert done.stdout.split() == ["n", "3"]
    with pytest.raises(UsageError, match="there is no statement"):
        raise sql(DEFAULT_RUN, stdin="").exception or AssertionError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("runs/none", "select 1"), "no run at runs/none"),
        (("select * from scroes",), "Table with name scroes does not exist! Did you mean"),
        (("drop view pool",), "DROP is refused: a run is read-only"),
        (("select 'a'::int",), "Conversion Error: Could not convert string 'a'"),
    ],
)
def test_errors_are_one_sentence(run: Run, arguments: tuple[str, ...], message: str) -> None:
    error = sql(*arguments).exception
    assert isinstance(error, UsageError)
    assert message in str(error)
    assert "\n" not in str(error)


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str | type[BaseException]) -> None:
    """Answer input() with these lines, then with the end of input."""
    left = iter(lines)

    def answer(_: str) -> str:
        line = next(left, EOFError)
        if isinstance(line, str):
            return line
        raise line

    monkeypatch.setattr("builtins.input", answer)


def test_a_typed_query_ends_with_its_semicolon(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "", "select 1", "from pool;", "from scores;", r"\q", "from never;")
    assert list(read_queries()) == ["select 1\nfrom pool;", "from scores;"]


def test_an_interrupt_drops_what_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "select 1", KeyboardInterrupt, "from scores;")
    assert list(read_queries()) == ["from scores;"]


def test_an_error_ends_only_its_query(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "from scroes;", "select count(*) as n from pool;")
    monkeypatch.setattr(sql_module.sys, "stdin", io.StringIO())
    with qibox.open(DEFAULT_RUN) as opened:
        interact(opened, "csv", 10)
    assert capsys.readouterr().out.split() == ["n", "3"]
