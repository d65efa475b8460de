import csv
import io
import json
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from qibox.cli.main import cli
from qibox.cli.sql import split_arguments
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
        ((".views",), (DEFAULT_RUN, ".views")),
        (("./run",), ("./run", None)),
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


@pytest.mark.parametrize(
    ("arguments", "stdin", "begins"),
    [
        ((".views",), None, "pool         One row a sample: "),
        (
            (".schema scores",),
            None,
            "scores\n  sample_id         VARCHAR\n  quality",
        ),
        ((), ".help\n", ".help    this\n"),
    ],
)
def test_what_begins_with_a_dot_is_answered_without_a_terminal(
    run: Run, arguments: tuple[str, ...], stdin: str | None, begins: str
) -> None:
    assert sql(*arguments, stdin=stdin).stdout.startswith(begins)


@pytest.mark.parametrize(
    ("text", "message"),
    [(".schema none", "no view 'none': there are pool, "), (".tables x", "there are .help, ")],
)
def test_a_dot_command_that_is_none_is_told_so(run: Run, text: str, message: str) -> None:
    error = sql(DEFAULT_RUN, text).exception
    assert isinstance(error, UsageError)
    assert message in str(error)


def test_parquet_holds_values_as_they_are(run: Run, tmp_path: Path) -> None:
    query = "select sample_id, image, quality from pool join scores using (sample_id) order by 1"
    assert sql(query, "-o", "all.parquet").exit_code == 0
    rows = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert [(row["sample_id"], row["quality"]) for row in rows] == [("a", 5), ("b", None), ("c", 7)]
    assert rows[0]["image"]["bytes"].startswith(b"\x89PNG")
    piped = sql(query, "--format", "parquet").stdout_bytes
    assert pq.read_table(io.BytesIO(piped)).to_pylist() == rows


@pytest.mark.parametrize(
    ("file", "holds"),
    [
        ("a.csv", b"sample_id\na\nb\nc\n"),
        ("a.jsonl", b'{"sample_id": "a"}\n{"sample_id": "b"}\n{"sample_id": "c"}\n'),
        ("a.md", b"| sample_id |\n| --- |\n| a |\n| b |\n| c |\n"),
    ],
)
def test_a_file_has_all_rows_in_the_form_of_its_suffix(
    run: Run, tmp_path: Path, file: str, holds: bytes
) -> None:
    done = sql("select sample_id from pool order by 1", "-o", file, "--max-rows", "1")
    assert (done.stdout, done.stderr) == ("", f"wrote {file}\n")
    assert (tmp_path / file).read_bytes() == holds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("select 1 as x", "-o", "a.xls"), "-o a.xls does not say a form: end it in .csv, "),
        (("select 1 as x", "-o", "none/a.csv"), "no folder to be in: make none first"),
        (("select 1 as x, 2 as x", "-o", "a.parquet"), "two columns are named x"),
        (("select interval 1 day as d", "-o", "a.parquet"), "Parquet cannot hold such a column"),
        (("select 'a'::int as x", "-o", "a.csv"), "Could not convert string 'a'"),
        (("select 1 as x", "--export", "a.duckdb"), "leave out the query"),
        (("select 1 as x", "--pictures"), "give --export FILE.duckdb"),
    ],
)
def test_a_file_is_whole_or_not_there(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    error = sql(*arguments).exception
    assert isinstance(error, UsageError)
    assert message in str(error)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_run_is_exported_from_the_command_line(run: Run, tmp_path: Path) -> None:
    done = sql("--export", "run.duckdb")
    assert done.stderr.splitlines()[0] == "pool: 3 rows"
    assert done.stderr.splitlines()[-1] == "wrote run.duckdb"
    with duckdb.connect(tmp_path / "run.duckdb", read_only=True) as made:
        assert made.sql("select max(quality) from scores").fetchall() == [(7.0,)]
