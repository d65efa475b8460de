from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from qibox.catalog.connect import VIEWS, connect
from qibox.catalog.files import POLICY_ROLLOUTS
from qibox.catalog.guard import check_query
from qibox.errors import UsageError
from qibox.run.directory import Run
from qibox.selection.choose import choose
from qibox.selection.request import OPEN_BOX, by_box
from qibox.selection.write import write_selection
from qibox.tables import AUGMENTED, EVALUATIONS, JUDGMENTS, POOL, RESPONSES, ROLLOUTS, SCORES
from tests.runs import manifest, sample, write_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    rows = [sample("a", 5, 2), sample("b", 4, 1), sample("c", None, None), sample("d", 7, 3)]
    return write_run(tmp_path / "run", rows)


@pytest.fixture
def sql(run: Run) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(run) as connection:
        yield connection


def run_query(sql: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyConnection:
    return sql.execute(check_query(sql, query))


def rows(sql: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    return run_query(sql, query).fetchall()


def test_every_table_is_a_view_with_its_rows(sql: duckdb.DuckDBPyConnection) -> None:
    # 4 samples of 2 models with 2 responses each.
    counts = {view: rows(sql, f"select count(*) from {view}")[0][0] for view in VIEWS}
    assert counts == {
        "pool": 4,
        "responses": 16,
        "judgments": 16,
        "scores": 4,
        "selections": 0,
        "rejects": 10,
        "rollouts": 0,
        "alarms": 0,
        "audits": 0,
        "replicates": 0,
        "comparisons": 0,
        "rates": 0,
        "evaluations": 0,
        "profiles": 0,
    }


def test_only_the_views_that_are_wanted(run: Run) -> None:
    with connect(run, ("pool", "scores")) as sql:
        assert rows(sql, "show tables") == [("pool",), ("scores",)]


def test_absent_tables_are_empty_views_with_the_right_columns(tmp_path: Path) -> None:
    bare = Run.create(write_run(tmp_path / "x", []).storage, manifest())
    columns = {
        "pool": POOL.names,
        "responses": RESPONSES.names,
        "judgments": JUDGMENTS.names,
        "scores": SCORES.names,
        "selections": ["selection", *AUGMENTED.names],
        "rollouts": ["policy", *ROLLOUTS.names],
        "evaluations": EVALUATIONS.names,
        "rejects": ["stage", "sample_id", "source", "row", "model", "k", "judge", "reason"],
    }
    bare.storage.remove("pool")
    bare.storage.remove("rejects")
    with connect(bare) as sql:
        for view, names in columns.items():
            result = run_query(sql, f"select * from {view}")
            assert [column[0] for column in result.description or []] == names
            assert result.fetchall() == []


def test_rejects_show_every_stage_with_its_reason(sql: duckdb.DuckDBPyConnection) -> None:
    found = rows(sql, "select stage, reason, count(*) from rejects group by all order by all")
    assert found == [
        ("judgments", "no response", 4),
        ("pool", "no question", 1),
        ("responses", "engine stopped", 4),
        ("scores", "0 models judged, 2 needed", 1),
    ]
    one = rows(sql, "from rejects where stage = 'judgments' and sample_id = 'b'")
    assert one == [("judgments", "b", "handmade", None, "second", 1, "hash", "no response")]
    (pool,) = rows(sql, "from rejects where stage = 'pool'")
    assert pool == ("pool", None, "handmade", 7, None, None, None, "no question")


def test_selections_and_rollouts_name_theirs(run: Run) -> None:
    for name in ("one", "two"):
        write_selection(run, choose(run, by_box(OPEN_BOX, name=name)))
    table = pa.Table.from_pylist([{"step": 1, "sample_id": "a"}], schema=ROLLOUTS)
    run.storage.write_table("policies/mine/rollouts/part-000-00000.parquet", table)
    with connect(run) as sql:
        names = rows(sql, "select selection, count(*) from selections group by all order by all")
        assert names == [("one", 3), ("two", 3)]
        assert rows(sql, "select policy, step, sample_id from rollouts") == [("mine", 1, "a")]
    assert POLICY_ROLLOUTS.names[0] == "policy"


def test_evaluations_are_seen_with_their_policy_and_stage(run: Run) -> None:
    row = {"policy": "mine", "stage": "trained", "pool": "held", "sample_id": "x", "score": 2.5}
    table = pa.Table.from_pylist([row], schema=EVALUATIONS)
    run.storage.write_table("policies/mine/eval/held-trained.parquet", table)
    with connect(run) as sql:
        found = rows(sql, "select policy, stage, pool, sample_id, score from evaluations")
    assert found == [tuple(row.values())]


def test_what_the_manifest_does_not_account_for_is_not_shown(run: Run) -> None:
    stray = run.storage.read_table("responses/model=first/shard-00000.parquet")
    run.storage.write_table("responses/model=left-out/shard-00000.parquet", stray)
    run.storage.write_table("responses/model=first/shard-00009.parquet", stray)
    with connect(run) as sql:
        assert rows(sql, "select count(*) from responses") == [(16,)]


def test_a_column_that_an_older_file_lacks_is_null(run: Run) -> None:
    for shard in (0, 1):
        name = f"scores/shard-{shard:05d}.parquet"
        run.storage.write_table(name, run.storage.read_table(name).drop_columns(["safe_rate"]))
    with connect(run) as sql:
        assert rows(sql, "select count(*), count(safe_rate) from scores") == [(4, 0)]


def test_an_object_store_reads_the_same(run: Run) -> None:
    far = write_run("memory://catalog", [sample("a", 5, 2)])
    with connect(far) as sql:
        assert rows(sql, "select sample_id, quality from scores") == [("a", 5.0)]


@pytest.mark.parametrize(
    "query",
    [
        "select 1",
        "  -- a remark\n select 1 ; ",
        "with x as (select 1) from x",
        "values (1)",
        "from scores limit 1",
        "describe pool",
        "show tables",
        "summarize scores",
        "explain select * from pool",
        "EXPLAIN ANALYZE select * from pool",
        "explain (format json) select 1",
        "explain /* why */ -- so\n analyze select 1",
    ],
)
def test_reading_statements_run(sql: duckdb.DuckDBPyConnection, query: str) -> None:
    assert run_query(sql, query).fetchall()


@pytest.mark.parametrize(
    "query",
    [
        "copy pool to '{run}/x.csv'",
        "copy (select 1) to '/tmp/x.csv'",
        "attach '{run}/x.db'",
        "export database '{run}/x'",
        "import database '{run}/x'",
        "pragma version",
        "pragma_version()",
        "set threads = 1",
        "reset threads",
        "install httpfs",
        "load httpfs",
        "create table x as select 1",
        "create macro f() as 1",
        "insert into pool values (1)",
        "update scores set quality = 10",
        "delete from scores",
        "drop view pool",
        "alter view pool rename to p",
        "prepare p as select 1",
        "execute p",
        "call duckdb_views()",
        "checkpoint",
        "vacuum",
        "use memory",
        "begin",
        "explain analyze copy (select 1) to '{run}/x.csv'",
        "explain -- select\n analyze copy (select 1) to '{run}/x.csv'",
        "explain create table x as select 1",
        "pivot pool on risk",
        "select 1; select 2",
        "select 1; copy (select 1) to '{run}/x.csv'",
        "",
        "   ;",
        "-- only a remark",
    ],
)
def test_statements_that_do_not_only_read_are_refused(
    run: Run, sql: duckdb.DuckDBPyConnection, query: str
) -> None:
    before = run.storage.files("")
    with pytest.raises(UsageError) as caught:
        run_query(sql, query.format(run=run.storage.url))
    assert "\n" not in str(caught.value)
    assert run.storage.files("") == before


@pytest.mark.parametrize(
    "query",
    [
        "with x as (copy (select 1) to '{run}/x.csv') select 1",
        "with x as (copy (select 1) to '.tmp/x.csv') select 1",
        "select * from read_text('{run}/run.yaml')",
        "select * from read_text('/etc/hostname')",
        "select * from '{run}/pool/shard-00000.parquet'",
        "select * from read_csv('{run}/../outside.csv')",
        "select * from glob('{run}/*')",
        "select * from parquet_metadata('{run}/pool/shard-00000.parquet')",
        "select * from sniff_csv('/etc/passwd')",
        "select * from read_text('https://example.org')",
        "select getenv('HOME')",
        "select * from secret_variable",
    ],
)
def test_no_query_reaches_a_file_the_environment_or_python(
    run: Run, sql: duckdb.DuckDBPyConnection, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(run.storage.url).parent)
    secret_variable = pa.table({"secret": [1]})
    before = sorted(Path(run.storage.url).parent.rglob("*"))
    with pytest.raises(duckdb.Error, match=r"Cannot access|does not exist"):
        run_query(sql, query.format(run=run.storage.url)).fetchall()
    assert sorted(Path(run.storage.url).parent.rglob("*")) == before
    assert len(secret_variable) == 1


def test_the_locks_cannot_be_undone(sql: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.Error, match="locked"):
        sql.execute("set enable_external_access = true")
    assert rows(sql, "select current_setting('temp_directory')") == [("",)]


def test_refusals_and_syntax_errors_are_one_line(sql: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(UsageError, match=r"^Parser Error: syntax error at or near \"selct\"$"):
        check_query(sql, "selct\n1")
    with pytest.raises(UsageError, match=r"^COPY is refused: a run is read-only, use SELECT"):
        check_query(sql, "copy pool to 'x'")
    with pytest.raises(UsageError, match=r"^give one statement, not 2"):
        check_query(sql, "select 1; select 2")
    with pytest.raises(UsageError, match=r"^there is no statement in the query"):
        check_query(sql, " -- nothing")
