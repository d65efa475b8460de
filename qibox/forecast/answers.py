"""What a probe's answers and verdicts were: failures, tokens, bytes, calls; and who is in a box."""

from dataclasses import dataclass

from qibox.catalog.connect import reading
from qibox.errors import QiboxError
from qibox.run.directory import Run
from qibox.selection.choose import choose
from qibox.selection.request import Request

TABLES = ("pool", "responses", "judgments", "scores")


@dataclass(frozen=True)
class Answered:
    """What became of one model's answers, or of one judge's verdicts."""

    name: str
    rows: int
    failed: float  # share
    cut_off: float | None  # share that ended at the length limit; None of a judge
    tokens: int | None  # of the answers; None of a judge
    calls: int  # equal texts on a sample are judged once


@dataclass(frozen=True)
class Yield:
    """How many samples a box lets through, of a pool of which some were drawn."""

    drawn: int
    passed: int  # of those
    expected: int  # of the pool
    low: int  # of the 95 % interval
    high: int


def answered(probe: Run) -> tuple[list[Answered], list[Answered]]:
    """The models in the panel's order, then the judges in the run's."""
    with reading(probe, ("responses", "judgments")) as connection:
        models = connection.execute(
            "select model, count(*), avg((text is null)::int), "
            "avg((finish_reason is not distinct from 'length')::int), "
            "coalesce(sum(tokens), 0)::bigint from responses group by model"
        ).fetchall()
        calls = connection.execute(
            "select count(distinct (sample_id, text)) from responses where text is not null"
        ).fetchall()[0][0]
        judges = connection.execute(
            "select judge, count(*), avg((j.score is null)::int) from judgments j "
            "join responses r using (sample_id, model, k) where r.text is not null group by judge"
        ).fetchall()
    by_model = {m: Answered(m, n, f, cut, tokens, n) for m, n, f, cut, tokens in models}
    by_judge = {j: Answered(j, n, f, None, None, calls) for j, n, f in judges}
    names = [judge.name for judge in probe.manifest.judges]
    return (
        [by_model[name] for name in probe.manifest.panel.models if name in by_model],
        [by_judge[name] for name in names if name in by_judge],
    )


def bytes_of(run: Run) -> int:
    """What a run's tables take."""
    sizes = run.storage.sizes()
    return sum(size for name, size in sizes.items() if name.split("/")[0] in TABLES)


def box_yield(probe: Run, request: Request, samples: int) -> Yield:
    """How many of a pool's samples a box would let through, from a probe that was scored."""
    drawn = probe.pool_index()
    assert drawn is not None, "a probe has its pool"
    try:
        passed = choose(probe, request).passed
    except QiboxError as error:
        if error.exit_status == 2:
            raise
        passed = 0  # the box is empty
    return yield_of(passed, drawn.samples, samples)


def yield_of(passed: int, drawn: int, samples: int) -> Yield:
    """The pool's share with its exact binomial interval (Clopper and Pearson, 1934).

    Samples are drawn without replacement, so the interval is a little wider than it need be; of a
    pool that was drawn whole it is a point.
    """
    from scipy.stats import binomtest

    if drawn == samples:
        return Yield(drawn, passed, passed, passed, passed)
    found = binomtest(passed, drawn).proportion_ci(0.95, method="exact")
    low, high = int(found.low * samples), min(samples, -int(-found.high * samples // 1))
    rest = samples - drawn
    return Yield(
        drawn,
        passed,
        round(passed / drawn * samples),
        max(passed, low),
        min(passed + rest, high),
    )
