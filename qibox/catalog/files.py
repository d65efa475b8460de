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
from qibox.run.retrained import retrained, retrained_in
from qibox.run.storage import Storage
from qibox.tables import (
    ALARMS,
    AUDITS,
    AUGMENTED,
    COMPARISONS,
    EVALUATIONS,
    JUDGMENTS,
    POOL,
    RATES,
    REJECTS,
    REPLICATES,
    RESPONSES,
    ROLLOUTS,
    SCORES,
)

SELECTIONS = pa.schema([("selection", pa.string()), *AUGMENTED])
POLICY_ROLLOUTS = pa.schema([("policy", pa.string()), *ROLLOUTS])
POLICY_ALARMS = pa.schema([("policy", pa.string()), *ALARMS])
BENCHMARK = pa.field("benchmark", pa.string())

_ANSWERED = re.compile(
    r"(?:evaluations|profiles)/(?P<of>[^/]+)/"
    r"(?P<table>pool|responses|judgments)(?:/judge=(?P<judge>[^/]+))?(?:/model=(?P<model>[^/]+))?"
    r"/shard-\d{5,}\.parquet"
)


def tables_of(run: Run) -> Iterator[tuple[str, pa.Schema, Iterable[Part]]]:
    """Each table's name, columns and files."""
    storage = run.storage if not run.home else None  # what lies below a run has nothing below it
    yield from _own_tables(run)
    with_selections = run.storage if run.borrows_pool else storage
    yield "selections", SELECTIONS, _selections(with_selections) if with_selections else ()
    yield "rollouts", POLICY_ROLLOUTS, _of_trainings(storage, "rollouts/") if storage else ()
    yield "alarms", POLICY_ALARMS, _of_trainings(storage, "alarms.parquet") if storage else ()
    yield "audits", AUDITS, _audits(run.storage, run.home)
    yield "kept_rates", RATES, _rates(storage) if storage else ()
    for table, schema in (("replicates", REPLICATES), ("comparisons", COMPARISONS)):
        yield table, schema, _of_comparisons(storage, table) if storage else ()
    for table, schema in (("pool", POOL), ("responses", RESPONSES), ("judgments", JUDGMENTS)):
        with_benchmark = pa.schema([BENCHMARK, *schema])
        answered = _answered(storage, "evaluations", table) if storage else ()
        yield f"evaluation_{table}", with_benchmark, answered
    yield "evaluations_before", EVALUATIONS, _evaluations_before(storage) if storage else ()
    profiled = _answered(storage, "profiles", "judgments") if storage else ()
    yield "profile_judgments", JUDGMENTS, profiled


def retrained_table(run: Run) -> pa.Table:
    """Pool and policy of the evaluations whose policy was trained anew since."""
    found = {} if run.home else retrained(run.storage)
    pairs = [(home.split("/")[1], policy) for home, names in found.items() for policy in names]
    kind = pa.schema([("pool", pa.string()), ("policy", pa.string())])
    return pa.Table.from_pylist([{"pool": a, "policy": b} for a, b in pairs], schema=kind)


def _own_tables(run: Run) -> Iterator[tuple[str, pa.Schema, Iterable[Part]]]:
    """What scoring makes: the files that the manifest accounts for, where present."""
    storage, home, of_pool = run.storage, run.home, run.pool_home
    index = run.pool_index()
    shards = range(len(index.keys) if index else len(storage.files(f"{of_pool}pool")))
    gone = retrained_in(storage, run.manifest)
    models = [model for model in run.manifest.panel.models if model not in gone]
    judges = [judge.name for judge in run.manifest.judges]

    def present(folder: str, wanted: Iterable[Part]) -> Iterator[Part]:
        found = set(storage.files(folder))
        yield from (part for part in wanted if part[0] in found)

    yield "pool", POOL, present(f"{of_pool}pool", ((pool_path(i, of_pool), None) for i in shards))
    yield "pool_rejects", REJECTS, ((name, None) for name in storage.files(f"{of_pool}rejects"))
    yield (
        "responses",
        RESPONSES,
        present(
            f"{home}responses",
            ((responses_path(m, i, home), ds.field("model") == m) for m in models for i in shards),
        ),
    )
    yield (
        "judgments",
        JUDGMENTS,
        present(
            f"{home}judgments",
            (
                (judgments_path(j, m, i, home), (ds.field("judge") == j) & (ds.field("model") == m))
                for j in judges
                for m in models
                for i in shards
            ),
        ),
    )
    yield "scores", SCORES, present(f"{home}scores", ((scores_path(i, home), None) for i in shards))


def _selections(storage: Storage) -> Iterator[Part]:
    for name, files in finished_selections(storage).items():
        for file in files:
            yield file, ds.field("selection") == name


def _of_trainings(storage: Storage, part: str) -> Iterator[Part]:
    """Tables of every policy, also of one whose training goes on: a file, or those of a folder."""
    files = storage.files("policies")
    whole = set(policy_names(storage))
    for file in files:
        _, name, *rest = file.split("/")
        if name not in whole and rest[:1] == ["training"]:
            rest = rest[1:]
        if "/".join(rest).startswith(part) and file.endswith(".parquet"):
            yield file, ds.field("policy") == name


def _audits(storage: Storage, home: str) -> Iterator[Part]:
    for file in storage.files(f"{home}audits"):
        if file.endswith("/audit.parquet"):
            yield file, None


def _rates(storage: Storage) -> Iterator[Part]:
    for file in storage.files("evaluations"):
        if file.endswith("/rates.parquet") and file.count("/") == 2:
            yield file, None


def _of_comparisons(storage: Storage, table: str) -> Iterator[Part]:
    for file in storage.files("comparisons"):
        if file.endswith(f"/{table}.parquet") and file.count("/") == 2:
            yield file, ds.field("comparison") == file.split("/")[1]


def _answered(storage: Storage, folder: str, table: str) -> Iterator[Part]:
    """Files of one table below the homes of all benchmarks, or of all profiled policies."""
    gone = retrained(storage)
    for file in storage.files(folder):
        found = _ANSWERED.fullmatch(file)
        if found is None or found["table"] != table:
            continue
        if found["model"] in gone.get(f"{folder}/{found['of']}/", ()):
            continue
        shared = None
        names = {"benchmark": found["of"] if folder == "evaluations" else None}
        for column, value in (names | {"judge": found["judge"], "model": found["model"]}).items():
            if value is not None:
                same = ds.field(column) == value
                shared = same if shared is None else shared & same
        yield file, shared


def profile_files(storage: Storage, policy: str, judge: str) -> list[str]:
    """Files of a judge's verdicts on what a policy answered to the run's pool, as views show it."""
    own = f"/judgments/judge={judge}/model={policy}/"
    return [file for file, _ in _answered(storage, "profiles", "judgments") if own in file]


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
