"""The Parquet files behind each table of a run, and what all rows of a file share.

Of the run's own tables, the files that its manifest accounts for; of what policies answered, every
file that stands where such answers lie. Files are looked for when they are asked for.
"""

import re
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.dataset as ds

from qibox.catalog.checked import Part
from qibox.run.directory import Run
from qibox.run.finished import finished_selections, policy_names
from qibox.run.layout import judgments_path, pool_path, responses_path, scores_path
from qibox.run.storage import Storage
from qibox.tables import (
    EVALUATIONS,
    JUDGMENTS,
    POOL,
    RATES,
    REJECTS,
    RESPONSES,
    ROLLOUTS,
    SCORES,
    SELECTION,
)

SELECTIONS = pa.schema([("selection", pa.string()), *SELECTION])
POLICY_ROLLOUTS = pa.schema([("policy", pa.string()), *ROLLOUTS])
BENCHMARK = pa.field("benchmark", pa.string())

_ANSWERED = re.compile(
    r"(?:evaluations|profiles)/(?P<of>[^/]+)/"
    r"(?P<table>pool|responses|judgments)(?:/judge=(?P<judge>[^/]+))?(?:/model=(?P<model>[^/]+))?"
    r"/shard-\d{5,}\.parquet"
)


def tables_of(run: Run) -> Iterator[tuple[str, pa.Schema, Iterable[Part]]]:
    """Each table's name, columns and files."""
    storage = run.storage
    yield from _own_tables(run)
    yield "selections", SELECTIONS, _selections(storage)
    yield "rollouts", POLICY_ROLLOUTS, _rollouts(storage)
    yield "rates", RATES, _rates(storage)
    for table, schema in (("pool", POOL), ("responses", RESPONSES), ("judgments", JUDGMENTS)):
        with_benchmark = pa.schema([BENCHMARK, *schema])
        yield f"evaluation_{table}", with_benchmark, _answered(storage, "evaluations", table)
    yield "evaluations_before", EVALUATIONS, _evaluations_before(storage)
    yield "profile_judgments", JUDGMENTS, _answered(storage, "profiles", "judgments")


def _own_tables(run: Run) -> Iterator[tuple[str, pa.Schema, Iterable[Part]]]:
    """What scoring makes: the files that the manifest accounts for, where present."""
    storage, panel = run.storage, run.manifest.panel
    index = run.pool_index()
    shards = range(len(index.keys) if index else len(storage.files("pool")))
    judges = [judge.name for judge in run.manifest.judges]

    def present(folder: str, wanted: Iterable[Part]) -> Iterator[Part]:
        found = set(storage.files(folder))
        yield from (part for part in wanted if part[0] in found)

    yield "pool", POOL, present("pool", ((pool_path(i), None) for i in shards))
    yield "pool_rejects", REJECTS, ((name, None) for name in storage.files("rejects"))
    yield (
        "responses",
        RESPONSES,
        present(
            "responses",
            ((responses_path(m, i), ds.field("model") == m) for m in panel.models for i in shards),
        ),
    )
    yield (
        "judgments",
        JUDGMENTS,
        present(
            "judgments",
            (
                (judgments_path(j, m, i), (ds.field("judge") == j) & (ds.field("model") == m))
                for j in judges
                for m in panel.models
                for i in shards
            ),
        ),
    )
    yield "scores", SCORES, present("scores", ((scores_path(i), None) for i in shards))


def _selections(storage: Storage) -> Iterator[Part]:
    for name, files in finished_selections(storage).items():
        for file in files:
            yield file, ds.field("selection") == name


def _rollouts(storage: Storage) -> Iterator[Part]:
    """Tables of every policy, also of one whose training goes on."""
    files = storage.files("policies")
    whole = set(policy_names(storage))
    for file in files:
        _, name, *rest = file.split("/")
        if name not in whole and rest[:1] == ["training"]:
            rest = rest[1:]
        if rest[:1] == ["rollouts"] and file.endswith(".parquet"):
            yield file, ds.field("policy") == name


def _rates(storage: Storage) -> Iterator[Part]:
    for file in storage.files("evaluations"):
        if file.endswith("/rates.parquet") and file.count("/") == 2:
            yield file, None


def _answered(storage: Storage, folder: str, table: str) -> Iterator[Part]:
    """Files of one table below the homes of all benchmarks, or of all profiled policies."""
    for file in storage.files(folder):
        found = _ANSWERED.fullmatch(file)
        if found is None or found["table"] != table:
            continue
        shared = None
        names = {"benchmark": found["of"] if folder == "evaluations" else None}
        for column, value in (names | {"judge": found["judge"], "model": found["model"]}).items():
            if value is not None:
                same = ds.field(column) == value
                shared = same if shared is None else shared & same
        yield file, shared


def _evaluations_before(storage: Storage) -> Iterator[Part]:
    """Evaluations made by an earlier version, until their policy is asked anew on their pool."""
    asked = {
        (found["of"], found["model"])
        for file in storage.files("evaluations")
        if (found := _ANSWERED.fullmatch(file)) and found["model"]
    }
    for file in storage.files("policies"):
        _, name, *rest = file.split("/")
        if rest[:1] != ["eval"] or not file.endswith(".parquet"):
            continue
        pool = rest[-1].removesuffix(".parquet").rpartition("-")[0]  # <pool>-<stage>.parquet
        if (pool, name) not in asked:
            yield file, ds.field("policy") == name
