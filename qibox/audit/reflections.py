"""A policy's reflections under a second judge: are corrections safe, causes right, words varied?

Reads a training's rollouts in which an unsafe draft, as the judge of the rewards had it, was
reflected upon. Writes RUN/audits/policy=<policy>/judge=<judge>/: audit.parquet
(:data:`qibox.tables.AUDITS`, part ``reflections``, over all and by step), reflections.parquet (each
with what was said of it).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from qibox.audit.agreement import Row
from qibox.audit.causes import by_judge, by_world
from qibox.audit.diversity import SIZES, distinct, nearest
from qibox.audit.report import as_table
from qibox.audit.starting import pool_rows, start
from qibox.catalog.connect import reading
from qibox.errors import QiboxError, UsageError
from qibox.evaluation.intervals import COVERAGE, intervals, resampled_means
from qibox.judges.once import judge_once
from qibox.manifests.judge import JudgeManifest
from qibox.policies.directory import read_lineage
from qibox.responses import split_reasoning
from qibox.run.directory import Run
from qibox.run.finished import policy_names
from qibox.run.layout import reflections_folder

if TYPE_CHECKING:
    import pandas as pd

GROUPS: Final = 10  # of steps
SHOWN: Final = 8  # reflections to read
_YES: Final = {True: 1.0, False: 0.0}

_REFLECTED = """
select step, sample_id, k, risk, draft, reflection, final, corrected from rollouts
where policy = ? and unsafe_draft and reflection is not null order by step, sample_id, k
"""
SHARES: Final = {
    "draft": "unsafe by both",  # of all drafts reflected upon
    "correction": "safe by the other",  # of all corrections
    "correction called safe": "safe by the other",  # of those that the first calls safe
    "cause": "named rightly",  # of those whose cause is known
}


@dataclass(frozen=True)
class Reflected:
    """What an audit of reflections came to."""

    policy: str
    first: str  # the judge of the rewards
    judge: str
    causes: str  # who said whether the cause is right
    rows: pa.Table  # AUDITS
    reflections: "pd.DataFrame"  # step, sample_id, k, risk, texts, corrected, what the other says


def audit_reflections(
    run: Run, policy: str, judge: JudgeManifest, *, allow_remote_code: bool = False
) -> Reflected:
    """Ask a judge about the drafts and corrections of a training, and count.

    Raises:
        UsageError: the run has no policy of that name, or the judge cannot be asked.
        QiboxError: no unsafe draft was reflected upon.
    """
    lineage = read_lineage(run.storage, policy)
    if lineage is None:
        there = ", ".join(policy_names(run.storage)) or "none yet"
        raise UsageError(
            f"no policy named '{policy}' in run {run.url} (there: {there})", fields=["reflections"]
        )
    found, who = _asked(run, policy, judge, allow_remote_code)
    first = str(lineage["plan"]["judge"]["name"])
    rows = as_table(first, judge.name, list(_rows(found)))
    return Reflected(policy, first, judge.name, who, rows, found)


def _asked(
    run: Run, policy: str, judge: JudgeManifest, allow_remote_code: bool
) -> tuple["pd.DataFrame", str]:
    """The rows with what the judge says of them, and who said whether their causes are right."""
    import pandas as pd

    with reading(run, ("rollouts", "pool")) as connection:
        frame = connection.execute(_REFLECTED, [policy]).df()
        if not len(frame):
            raise QiboxError(f"no unsafe draft of policy {policy} was reflected upon")
        asked, engine = start(judge, allow_remote_code=allow_remote_code)
        try:
            parts, who = [], "nobody"
            for samples in pool_rows(connection, sorted(set(frame["sample_id"]))):
                here = frame[frame["sample_id"].isin(samples["sample_id"].to_pylist())]
                causes, who = _causes(run, judge, engine, samples, here)
                right = pd.Series(list[object](causes), here.index, object)
                parts.append(_judged(asked, samples, here).assign(right_cause=right))
        finally:
            asked.close()
    if sum(map(len, parts)) < len(frame):
        raise QiboxError(f"samples that policy {policy} was trained on are not in {run.url}'s pool")
    order = ["step", "sample_id", "k"]
    return pd.concat(parts).sort_values(order, ignore_index=True), who


def _judged(asked: Any, samples: pa.Table, here: "pd.DataFrame") -> "pd.DataFrame":
    """The rows with what the judge says of draft and correction: safe, and the score of each."""
    found = here.copy()
    for part in ("draft", "final"):
        text = pa.array(here[part], pa.string())
        reasoning, answer = split_reasoning(text)
        names = ("sample_id", "text", "reasoning", "answer")
        columns = (pa.array(here["sample_id"], pa.string()), text, reasoning, answer)
        verdicts = judge_once(asked, samples, pa.table(dict(zip(names, columns, strict=True))))
        found[f"{part}_safe"] = verdicts["safe"].to_pandas().to_numpy(object)
        found[f"{part}_score"] = verdicts["score"].to_pandas().to_numpy()
    return found


def _causes(
    run: Run, judge: JudgeManifest, engine: Any, samples: pa.Table, here: "pd.DataFrame"
) -> tuple[Sequence[bool | None], str]:
    """Whether each reflection names the cause, and who says so."""
    if run.manifest.pool.is_miniature:
        ids, texts = here["sample_id"].to_list(), here["reflection"].to_list()
        return by_world(samples, ids, texts), "the scene"
    if judge.kind == "generative" and engine is not None:
        columns = ["sample_id", "draft", "reflection"]
        rows = [dict(zip(columns, row, strict=True)) for row in here[columns].to_numpy()]
        return by_judge(judge, engine, samples, rows), judge.name
    return [None] * len(here), "nobody"


def _rows(found: "pd.DataFrame") -> Iterator[Row]:
    yield from _counted(found, "all", None)
    steps = found["step"].to_numpy()
    edges = np.linspace(steps.min(), steps.max() + 1, min(GROUPS, len(set(steps))) + 1)
    for low, high in zip(np.ceil(edges), np.ceil(edges[1:]), strict=False):
        part = found[(steps >= low) & (steps < high)]
        if len(part):
            yield from _counted(part, "step", f"{low:.0f} to {high - 1:.0f}")


def _counted(part: "pd.DataFrame", by: str, among: str | None) -> Iterator[Row]:
    where = {"part": "reflections", "by": by, "among": among}
    safe = part["final_safe"]
    columns = {
        "draft": part["draft_safe"].map({True: 0.0, False: 1.0}),
        "correction": safe.map({True: 1.0, False: 0.0}),
        "correction called safe": safe.where(part["corrected"].eq(True)).map(
            {True: 1.0, False: 0.0}
        ),
        "cause": part["right_cause"].map({True: 1.0, False: 0.0}),
    }
    for measure, values in columns.items():
        known = values.dropna().astype(float)
        if not len(known):
            continue
        means = known.groupby(part["sample_id"]).agg(["sum", "count"])
        value, low, high = _share(means["sum"].to_numpy(float), means["count"].to_numpy(float))
        row = where | {"measure": measure, "statistic": SHARES[measure], "value": value}
        yield row | {"low": low, "high": high, "n": len(known)}
    yield from _varied(part, where)


def _share(sums: Any, counts: Any) -> tuple[float, float, float]:
    """The share over all answers, with its interval over samples."""
    if len(sums) == 1:
        return (float(sums[0] / counts[0]),) * 3
    draws = resampled_means(np.stack([sums, counts], axis=1))
    low, high = np.percentile(draws[:, 0] / draws[:, 1], COVERAGE)
    return float(sums.sum() / counts.sum()), float(low), float(high)


def _varied(part: "pd.DataFrame", where: dict[str, Any]) -> Iterator[Row]:
    """How varied the reflections of a step are, mean over the steps."""
    by_step = [own["reflection"].to_list() for _, own in part.groupby("step")]
    measures = {f"distinct {n}-grams": [distinct(t, n) for t in by_step] for n in SIZES}
    measures["nearest neighbour"] = [nearest(texts) for texts in by_step]
    for measure, values in measures.items():
        known = [value for value in values if value is not None]
        if known:
            ((value, low, high),) = intervals([np.array(known)])
            row = where | {"measure": measure, "statistic": "mean over steps", "value": value}
            yield row | {"low": low, "high": high, "n": len(known)}


def keep_reflections(run: Run, made: Reflected) -> str:
    """Write the audit into the run; the name of its folder there."""
    folder = reflections_folder(made.policy, made.judge)
    table = pa.Table.from_pandas(made.reflections, preserve_index=False)
    run.storage.write_table(f"{folder}/reflections.parquet", table)
    run.storage.write_table(f"{folder}/audit.parquet", made.rows)
    return folder


def sample_to_read(made: Reflected, count: int = SHOWN) -> "pd.DataFrame":
    """Some reflections, spread evenly over the training."""
    at = np.linspace(0, len(made.reflections) - 1, min(count, len(made.reflections)))
    return made.reflections.iloc[np.unique(at.round().astype(int))]
