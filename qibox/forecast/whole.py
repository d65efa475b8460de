"""The whole job from a probe's steps: hours with so many accelerators, and what fits a budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qibox.forecast.stopwatch import Step

HOUR_S = 3600.0
LEAST_MODELS = 2  # one alone has no disagreement


@dataclass(frozen=True)
class Job:
    """What a probe has told of a job."""

    steps: tuple[Step, ...]
    samples: int
    responses: int  # K
    models: tuple[str, ...]
    start_s: float = 0.0  # of the command itself; reading the pool, where that is still to do
    gpus: int | None = None  # each step runs as many copies as fit on these; None: as the probe ran


@dataclass(frozen=True)
class Hours:
    """What one step of the whole job takes."""

    name: str
    hours: float  # on the clock
    gpu_hours: float  # 0 where it needs none


@dataclass(frozen=True)
class Whole:
    """The whole job."""

    steps: tuple[Hours, ...]
    start_hours: float

    @property
    def hours(self) -> float:
        """On the clock, from start to end."""
        return self.start_hours + sum(step.hours for step in self.steps)

    @property
    def gpu_hours(self) -> float:
        """Over all steps."""
        return sum(step.gpu_hours for step in self.steps)


def whole_job(
    job: Job, *, samples: float | None = None, k: int | None = None, without: Sequence[str] = ()
) -> Whole:
    """What all of it takes, or would with other numbers.

    Answers, and with them verdicts, cost as many as there are; what a model takes to start does
    not change with them.
    """
    number = job.samples if samples is None else samples
    share = 1.0 if k is None else k / job.responses
    rest = 1 - len(without) / len(job.models)  # of the answers that are to be judged
    found = []
    for step in job.steps:
        if step.models and not set(step.models) - set(without):
            continue
        copies = 1 if job.gpus is None or not step.copies else max(1, job.gpus // step.copies)
        cost = share if step.folders == ("responses",) else share * rest
        hours = (step.start_s + step.sample_s * number * cost / copies) / HOUR_S
        found.append(Hours(step.name, hours, hours * copies * step.copies))
    return Whole(tuple(found), job.start_s / HOUR_S)


@dataclass(frozen=True)
class Remedy:
    """One way to stay within a budget, and the hours that it comes to."""

    what: str
    hours: float


def remedies(job: Job, budget: float) -> Iterator[Remedy]:
    """Ways to stay within so many hours: a smaller K, fewer models, fewer samples.

    The most expensive models go first. A way that does not lead there is left out.
    """
    for k in range(job.responses - 1, 0, -1):
        if (hours := whole_job(job, k=k).hours) <= budget:
            alone = ", which leaves no self-instability" if k == 1 else ""
            yield Remedy(f"K = {k} instead of {job.responses}{alone}", hours)
            break
    dearest = _dearest(job)
    for count in range(1, len(dearest) - LEAST_MODELS + 1):
        if (hours := whole_job(job, without=dearest[:count]).hours) <= budget:
            yield Remedy(f"without {', '.join(dearest[:count])}", hours)
            break
    fixed, one = (whole_job(job, samples=n).hours for n in (0, 1))
    fitting = int((budget - fixed) / (one - fixed)) if one > fixed else 0
    if 0 < fitting < job.samples:
        yield Remedy(f"{fitting:,} samples alone", whole_job(job, samples=fitting).hours)


def _dearest(job: Job) -> list[str]:
    """The models by what their answers cost, the most expensive first."""
    cost = {
        model: sum(s.start_s + s.sample_s * job.samples for s in job.steps if model in s.models)
        for model in job.models
    }
    return sorted(job.models, key=lambda model: (-cost[model], model))
