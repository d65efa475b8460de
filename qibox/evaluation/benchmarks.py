"""Policies answer benchmarks, or the run's own pool: what to ask of whom, as scoring jobs.

A benchmark's answers lie in RUN/evaluations/<benchmark>/, a profile's in RUN/profiles/<policy>/,
both in a run directory's own layout. What others answered there before stays as long as it was
asked in the same way; who is asked otherwise is asked anew, and what was there is set aside.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from qibox.errors import UsageError
from qibox.evaluation.contamination import refuse_overlap
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.panel import PanelManifest
from qibox.manifests.pool import PoolManifest
from qibox.manifests.sampling import Sampling
from qibox.policies.contenders import Contender
from qibox.run.directory import POOL_INDEX, PoolIndex, Run, RunManifest, read_run_manifest
from qibox.run.layout import evaluation_home, pool_path, profile_home
from qibox.run.storage import Storage
from qibox.scoring.consent import compare
from qibox.scoring.plan import Job
from qibox.scoring.resolve import settled_judges, settled_pool, settled_run

# Of a run's manifest, what every answer in it depends on.
SHARED = ("pool", "limit", "panel.prompt", "panel.sampling")

OpenPool = Callable[[Run], PoolIndex]  # reads a run's pool unless it was read before


@dataclass(frozen=True)
class Questions:
    """How policies are asked and judged."""

    prompt: str
    sampling: Sampling
    judges: tuple[JudgeManifest, ...]
    limit: int | None = None  # samples of each pool; null: all


def questions_of(
    run: Run,
    judges: Sequence[JudgeManifest] = (),
    samples_per_model: int | None = None,
    limit: int | None = None,
) -> Questions:
    """Ask as the run's panel was asked; judged by these judges, or else by the run's first one."""
    panel = run.manifest.panel
    sampling = panel.sampling
    if samples_per_model is not None:
        sampling = sampling.model_copy(update={"samples": samples_per_model})
    return Questions(panel.prompt, sampling, tuple(judges) or run.manifest.judges[:1], limit)


def benchmark_job(
    storage: Storage,
    pool: PoolManifest,
    contenders: Sequence[Contender],
    questions: Questions,
    open_pool: OpenPool,
) -> Job:
    """Read a benchmark and say whom to ask about it.

    Raises:
        UsageError: the benchmark cannot be read, or shares samples with what one of the policies
            was trained on.
    """
    home = evaluation_home(pool.name)
    job = _job(storage, pool, contenders, questions, home, None, open_pool)
    for contender in contenders:
        if contender.known is not None:
            refuse_overlap(contender.known, _pool_shards(job), pool.name)
    return job


def profile_job(run: Run, contender: Contender, questions: Questions) -> Job:
    """Say that a policy is to answer the run's own pool, or its first samples.

    Raises:
        UsageError: the run's pool was not read yet.
    """
    index = run.pool_index()
    if index is None:
        raise UsageError(
            f"the pool of {run.url} has not been read to its end yet: "
            f"`qibox score --out {run.url}` does that"
        )
    home, pool = profile_home(contender.name), run.manifest.pool
    return _job(run.storage, pool, [contender], questions, home, "", lambda _: index)


def _job(
    storage: Storage,
    pool: PoolManifest,
    contenders: Sequence[Contender],
    questions: Questions,
    home: str,
    pool_home: str | None,
    open_pool: OpenPool,
) -> Job:
    earlier = read_run_manifest(storage, home)
    asked = settled_run(
        pool=pool if pool_home is not None else settled_pool(pool, earlier),
        panel=PanelManifest(
            name="policies",
            about="Policies, asked as a panel is; their answers make no scores.",
            models={each.name: each.spec for each in contenders},
            prompt=questions.prompt,
            sampling=questions.sampling,
        ),
        judges=settled_judges(questions.judges, earlier),
        limit=questions.limit,
        scored=False,
    )
    if earlier is not None and not asked_alike(earlier, asked, ("pool", "limit")):
        storage.remove(f"{home}{POOL_INDEX}")
    run = Run.create(storage, joined(earlier, asked), home, pool_home)
    return Job(
        run=run,
        index=open_pool(run),
        models=frozenset(asked.panel.models),
        judges=frozenset(judge.name for judge in asked.judges),
        places={each.name: each.place for each in contenders},
    )


def asked_alike(earlier: RunManifest, now: RunManifest, what: Sequence[str] = SHARED) -> bool:
    """Whether two manifests ask the same of whoever is asked; who that is does not count."""
    return not any(each.key.startswith(tuple(what)) for each in compare(earlier, now))


def joined(earlier: RunManifest | None, now: RunManifest) -> RunManifest:
    """The manifest with those models and judges of the earlier one whose answers still count."""
    if earlier is None or not asked_alike(earlier, now):
        return now
    models = {**earlier.panel.models, **now.panel.models}
    judges = {judge.name: judge for judge in (*earlier.judges, *now.judges)}
    panel = now.panel.model_copy(update={"models": models})
    return now.model_copy(update={"panel": panel, "judges": tuple(judges.values())})


def _pool_shards(job: Job) -> Iterator[pa.Table]:
    for shard in job.shards:
        yield job.run.storage.read_table(pool_path(shard.number, job.run.pool_home))
