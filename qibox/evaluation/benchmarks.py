"""Policies answer benchmarks, or the run's own pool: what to ask of whom, as scoring jobs.

A benchmark's answers lie in RUN/evaluations/<benchmark>/, a profile's in RUN/profiles/<policy>/,
both in a run directory's own layout. What others answered there before stays as long as it was
asked in the same way; who is asked otherwise is asked anew, and what was there is set aside.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from qibox.errors import UsageError, command
from qibox.evaluation.contamination import refuse_overlap
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.panel import PanelManifest
from qibox.manifests.pool import PoolManifest
from qibox.manifests.sampling import Sampling
from qibox.policies.contenders import Contender
from qibox.pool.ingest import marked_rows
from qibox.run.directory import POOL_INDEX, PoolIndex, Run, RunManifest, read_run_manifest
from qibox.run.layout import evaluation_home, pool_path, profile_home
from qibox.run.storage import Storage
from qibox.scoring.consent import changed_content, compare
from qibox.scoring.plan import Job
from qibox.scoring.resolve import kept_recording, settled_judges, settled_pool, settled_run

# Of a run's manifest, what every answer in it depends on.
SHARED = (
    "pool", "limit", "panel.prompt", "panel.system", "panel.template_arguments", "panel.max_pixels",
    "panel.sampling",
)  # fmt: skip

OpenPool = Callable[[Run], PoolIndex]  # reads a run's pool unless it was read before


@dataclass(frozen=True)
class Questions:
    """How policies are asked and judged."""

    prompt: str
    sampling: Sampling
    judges: tuple[JudgeManifest, ...]
    limit: int | None = None  # samples of each pool; null: all
    # what else of a panel says how to ask, where it says anything
    system: str | None = None
    template_arguments: Mapping[str, Any] = field(default_factory=dict)
    max_pixels: int | None = None


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
    return Questions(
        panel.prompt,
        sampling,
        tuple(judges) or run.manifest.judges[:1],
        limit,
        panel.system,
        panel.template_arguments,
        panel.max_pixels,
    )


def benchmark_jobs(
    storage: Storage,
    pools: Sequence[PoolManifest],
    contenders: Sequence[Contender],
    questions: Questions,
    open_pool: OpenPool,
) -> list[Job]:
    """Read benchmarks and say whom to ask about each; nothing is written if one is refused.

    Raises:
        UsageError: a benchmark cannot be read, or shares samples with what one of the policies was
            trained on.
    """
    known = [each.known for each in contenders if each.known is not None]
    asked = [_asked_in(storage, pool, contenders, questions) for pool in pools]
    for wanted in asked:
        if known:
            refuse_overlap(known, _samples(storage, wanted), wanted.now.pool.name)
    return [_job(storage, wanted, contenders, None, open_pool) for wanted in asked]


def profile_job(run: Run, contender: Contender, questions: Questions) -> Job:
    """Say that a policy is to answer the run's own pool, or its first samples.

    Raises:
        UsageError: the run's pool was not read yet.
    """
    index = run.pool_index()
    if index is None:
        raise UsageError(
            f"the pool of {run.url} has not been read to its end yet: "
            f"{command('score', out=run.url)} does that"
        )
    home, pool = profile_home(contender.name), run.manifest.pool
    asked = _asked(run.storage, home, pool, [contender], questions)
    return _job(run.storage, asked, [contender], "", lambda _: index)


@dataclass(frozen=True)
class _Asked:
    """What is asked at a place of a run, and what was asked there before."""

    home: str
    now: RunManifest
    earlier: RunManifest | None

    @property
    def of_same_samples(self) -> bool:
        """Whether the samples that were read before are those that are wanted now."""
        if self.earlier is None or any(changed_content(self.earlier.pool, self.now.pool)):
            return False
        return asked_alike(self.earlier, self.now, ("pool", "limit"))


def _asked_in(
    storage: Storage,
    pool: PoolManifest,
    contenders: Sequence[Contender],
    questions: Questions,
) -> _Asked:
    home = evaluation_home(pool.name)
    settled = settled_pool(pool, read_run_manifest(storage, home))
    return _asked(storage, home, settled, contenders, questions)


def _asked(
    storage: Storage,
    home: str,
    pool: PoolManifest,
    contenders: Sequence[Contender],
    questions: Questions,
) -> _Asked:
    earlier = read_run_manifest(storage, home)
    now = settled_run(
        pool=pool,
        panel=PanelManifest(
            name="policies",
            about="Policies, asked as a panel is; their answers make no scores.",
            models={e.name: kept_recording(e.spec, e.name, earlier) for e in contenders},
            prompt=questions.prompt,
            system=questions.system,
            template_arguments=dict(questions.template_arguments),
            max_pixels=questions.max_pixels,
            sampling=questions.sampling,
        ),
        judges=settled_judges(questions.judges, earlier),
        limit=questions.limit,
        scored=False,
        policies={each.name: each.lineage for each in contenders if each.lineage is not None},
    )
    return _Asked(home, now, earlier)


def _samples(storage: Storage, asked: _Asked) -> Iterator[pa.Table]:
    """A benchmark's samples: those that were read before, or else read now and not kept."""
    index = Run(storage, asked.now, asked.home).pool_index() if asked.of_same_samples else None
    if index is not None:
        for shard in index.shards():
            path = pool_path(shard.number, asked.home)
            yield storage.read_table(path, ["question", "image"])
        return
    for rows, keep, _ in marked_rows(asked.now.pool, asked.now.limit):
        yield rows.samples.filter(keep)


def _job(
    storage: Storage,
    asked: _Asked,
    contenders: Sequence[Contender],
    pool_home: str | None,
    open_pool: OpenPool,
) -> Job:
    if asked.earlier is not None and not asked.of_same_samples:
        storage.remove(f"{asked.home}{POOL_INDEX}")
    run = Run.create(storage, joined(asked.earlier, asked.now), asked.home, pool_home)
    return Job(
        run=run,
        index=open_pool(run),
        models=frozenset(asked.now.panel.models),
        judges=frozenset(judge.name for judge in asked.now.judges),
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
    policies = {**earlier.policies, **now.policies}
    return now.model_copy(
        update={"panel": panel, "judges": tuple(judges.values()), "policies": policies}
    )
