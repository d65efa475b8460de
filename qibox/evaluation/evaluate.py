"""Policies on held-out samples: answer, judge, count, before and after training.

Reads a pool, a run's policies/<name>/ and its lineage. Writes, under policies/<name>/eval/,
<pool>-<stage>.parquet (:data:`qibox.tables.EVALUATIONS`, a row a response) for the stages start and
trained, and <pool>.json with the rates and their intervals (:mod:`qibox.evaluation.rates`). Answers
that are there already, under the same key, are not drawn again.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc

from qibox.engines.base import Engine
from qibox.engines.load import load_engine
from qibox.errors import UsageError
from qibox.evaluation.contamination import refuse_overlap
from qibox.evaluation.rates import MEASURES, Estimate, Measure, change, estimate, sample_means
from qibox.judges.base import Judge
from qibox.judges.each import judge_each
from qibox.judges.load import load_judge
from qibox.manifests.common import Checked
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.panel import PanelManifest
from qibox.manifests.pool import PoolManifest
from qibox.manifests.sampling import Sampling
from qibox.policies.contenders import Contender, Stage
from qibox.pool.ingest import ingest
from qibox.prompts import fill_template
from qibox.responses import split_reasoning
from qibox.run.directory import Run, RunManifest
from qibox.run.layout import pool_path
from qibox.run.storage import Storage
from qibox.run.units import digest
from qibox.tables import EVALUATIONS, PROMPTS, VERDICTS

Progress = Callable[[int, int, str], None]  # samples done, of how many, which policy

# The id that sampling noise is keyed by: the same before and after, so that the two are compared
# under the same draws.
NOISE_ID = "policy"
FORMAT = 1  # raised when the meaning of the stored rows changes


class Evaluation(Checked):
    """How a policy is evaluated: what determines its answers and their verdicts."""

    pool: PoolManifest
    judge: JudgeManifest
    prompt: str
    sampling: Sampling
    limit: int | None = None  # samples of the pool; null: all


class Compared(Checked):
    """One measure on one kind of sample, before and after; start is null without a before."""

    measure: Measure
    start: Estimate | None
    trained: Estimate
    change: Estimate | None


class Report(Checked):
    """What an evaluation came to."""

    policy: str
    pool: str
    judge: str
    samples: int
    samples_per_model: int
    unjudged: dict[str, int]  # responses without a verdict, by stage
    compared: tuple[Compared, ...]


def evaluation_of(
    run: Run,
    pool: PoolManifest,
    judge: JudgeManifest | None = None,
    samples_per_model: int | None = None,
    limit: int | None = None,
) -> Evaluation:
    """Return an evaluation that asks as the run's panel was asked, judged by its first judge."""
    panel: PanelManifest = run.manifest.panel
    sampling = panel.sampling
    if samples_per_model is not None:
        sampling = sampling.model_copy(update={"samples": samples_per_model})
    return Evaluation(
        pool=pool,
        judge=judge or run.manifest.judges[0],
        prompt=panel.prompt,
        sampling=sampling,
        limit=limit,
    )


def evaluate(
    run: Run,
    name: str,
    contenders: list[Contender],
    evaluation: Evaluation,
    known: pa.Table | None = None,
    progress: Progress = lambda done, total, which: None,
) -> Report:
    """Evaluate a policy and store rows and rates under policies/<name>/eval/.

    ``known`` has question and images of the samples that the policy was trained on, if that is
    known.

    Raises:
        UsageError: the pool shares samples with ``known``, or cannot be read.
    """
    with held_out(run, evaluation) as pool:
        if known is not None:
            refuse_overlap(known, _shards(pool), evaluation.pool.name)
        tables = {
            each.stage: _stored(run.storage, name, each, evaluation, pool, progress)
            for each in contenders
        }
    report = compare(name, evaluation, tables)
    text = json.dumps(report.model_dump(mode="json"), indent=1)
    run.storage.write_text(f"policies/{name}/eval/{evaluation.pool.name}.json", text)
    return report


@contextmanager
def held_out(run: Run, evaluation: Evaluation) -> Iterator[Run]:
    """Read a pool into a run of its own that is gone afterwards."""
    manifest = RunManifest(
        pool=evaluation.pool,
        panel=run.manifest.panel,
        judges=(evaluation.judge,),
        limit=evaluation.limit,
    )
    with tempfile.TemporaryDirectory(prefix="qibox-eval-") as scratch:
        pool = Run.create(Storage(scratch), manifest)
        index = ingest(pool)
        if not index.samples:
            raise UsageError(
                f"pool '{evaluation.pool.name}' gave no sample ({index.rejected} rows refused): "
                "check its manifest"
            )
        yield pool


def _shards(pool: Run) -> Iterator[pa.Table]:
    index = pool.pool_index()
    assert index is not None
    for shard in range(len(index.keys)):
        yield pool.storage.read_table(pool_path(shard))


def _stored(
    storage: Storage,
    name: str,
    contender: Contender,
    evaluation: Evaluation,
    pool: Run,
    progress: Progress,
) -> pa.Table:
    """Return one contender's rows: those that are there under the right key, or new ones."""
    index = pool.pool_index()
    assert index is not None
    key = digest(
        {
            "format": FORMAT,
            "shards": list(index.keys),
            "spec": contender.spec.model_dump(mode="json", exclude={"source"}),
            "evaluation": evaluation.model_dump(mode="json", exclude={"pool"}),
        }
    )
    path = f"policies/{name}/eval/{evaluation.pool.name}-{contender.stage}.parquet"
    if storage.table_key(path) == key:
        progress(index.samples, index.samples, f"{contender.stage} policy, as it was")
        return storage.read_table(path)
    engine = load_engine(NOISE_ID, contender.spec)
    judge = load_judge(evaluation.judge)
    try:
        tables: list[pa.Table] = []
        done = 0
        for samples in _shards(pool):
            tables.append(answer_and_judge(engine, judge, samples, evaluation))
            done += len(samples)
            progress(done, index.samples, f"{contender.stage} policy")
    finally:
        judge.close()
        engine.close()
    rows = _labelled(pa.concat_tables(tables), name, contender.stage, evaluation)
    storage.write_table(path, rows, key)
    return rows


def answer_and_judge(
    engine: Engine, judge: Judge, samples: pa.Table, evaluation: Evaluation
) -> pa.Table:
    """Return one row for each response: the sample's columns, the response and its verdict."""
    prompts = pa.table(
        {
            "key": samples["sample_id"],
            "system": pa.nulls(len(samples), pa.string()),
            "text": fill_template(evaluation.prompt, samples["question"].combine_chunks()),
            "image": samples["image"],
        }
    ).cast(PROMPTS)
    completions = engine.generate(prompts, evaluation.sampling)
    reasoning, answer = split_reasoning(completions["text"].combine_chunks())
    responses = pa.table(
        {
            "sample_id": completions["key"],
            "text": completions["text"],
            "reasoning": reasoning,
            "answer": answer,
        }
    )
    verdicts = judge_each(judge, samples, responses)
    # A response that is not there has no verdict for the same reason.
    reason = pc.coalesce(completions["reason"], verdicts["reason"])
    verdicts = verdicts.set_column(VERDICTS.get_field_index("reason"), "reason", reason)
    place = pc.index_in(completions["key"], samples["sample_id"].combine_chunks())
    about = samples.select(["risk", "category", "severity"]).take(place)
    columns = {
        **{name: about[name] for name in about.column_names},
        **{name: responses[name] for name in responses.column_names},
        **{name: completions[name] for name in ("k", "finish_reason", "tokens")},
        **{name: verdicts[name] for name in VERDICTS.names},
    }
    return pa.table(columns)


def _labelled(rows: pa.Table, name: str, stage: Stage, evaluation: Evaluation) -> pa.Table:
    for column, value in (
        ("policy", name),
        ("stage", stage),
        ("pool", evaluation.pool.name),
        ("judge", evaluation.judge.name),
    ):
        rows = rows.append_column(column, pa.array([value] * len(rows), pa.string()))
    return rows.select(EVALUATIONS.names).cast(EVALUATIONS)


def compare(name: str, evaluation: Evaluation, tables: dict[Stage, pa.Table]) -> Report:
    """Count each measure at each stage, and what changed from start to trained."""
    compared = []
    for measure in MEASURES:
        means = {stage: sample_means(measure, rows) for stage, rows in tables.items()}
        before = means.get("start")
        after = means["trained"]
        compared.append(
            Compared(
                measure=measure,
                start=None if before is None else estimate(*before),
                trained=estimate(*after),
                change=None if before is None else change(before[0], after[0]),
            )
        )
    return Report(
        policy=name,
        pool=evaluation.pool.name,
        judge=evaluation.judge.name,
        samples=len(pc.unique(tables["trained"]["sample_id"])),
        samples_per_model=evaluation.sampling.samples,
        unjudged={stage: rows["score"].null_count for stage, rows in tables.items()},
        compared=tuple(compared),
    )
