"""A judge asked twice: how much of what it says, and so of U, is its own noise.

Whole samples are drawn, and all answers to them judged again under another quoting code, another
seed and in another order; a judge that compares meets other opponents as well. With d the second
score of an answer less the first,

- score, changed by: the mean of |d|; unchanged: the share of answers with d = 0;
- safe, turned: the share of answers whose flag is another;
- instability, share of variance: Σ ½ var(d) / Σ ½ (U² + U'²) over samples, var and U² of all scores
  of a sample: the part of U² that does not come again. In [0, 2]; 1 where nothing does. A shift of
  all scores of a sample is none of it, as it is none of U.
- position: of a judge that compares, points of the answer shown first less those of the other.

Each with its 95 % interval over samples.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qibox.audit.agreement import Floats, Row
from qibox.audit.bias import interval, ratio
from qibox.audit.starting import another, pool_rows, start
from qibox.catalog.connect import reading
from qibox.evaluation.intervals import resampled_means
from qibox.judges.base import Judge
from qibox.judges.once import judge_once
from qibox.judges.pairwise import PairwiseJudge
from qibox.manifests.judge import JudgeManifest
from qibox.run.directory import Run
from qibox.scoring.resolve import located_judge, places_of

if TYPE_CHECKING:
    import pandas as pd

SUMS: Final = ("n", "away", "same", "flags", "turned", "noise", "variance")
_AT = {name: place for place, name in enumerate(SUMS)}

_DRAWN = """
select r.sample_id, r.model, r.k, r.text, r.reasoning, r.answer, j.score, j.safe
from responses r join judgments j using (sample_id, model, k)
where j.judge = $judge and j.score is not null and r.sample_id in (
    select sample_id from (select distinct sample_id from judgments
                           where judge = $judge and score is not null)
    order by md5($seed || ':' || sample_id), sample_id limit $samples
)
order by r.sample_id, md5('order:' || r.model || ':' || r.k), r.model, r.k
"""


def rows_again(
    run: Run, judge: JudgeManifest, answers: int, *, allow_remote_code: bool = False
) -> list[Row]:
    """Ask a judge of a run twice and count; nothing of people, whom nobody can ask here.

    Raises:
        QiboxError: its model cannot be started.
    """
    if judge.kind == "people":
        return []
    place = places_of(run.manifest).get(f"judge {judge.name}")
    located = located_judge(judge, place)
    asked, _ = start(another(located), allow_remote_code=allow_remote_code)
    heard: list[tuple[str, int, int]] = []
    if isinstance(asked, PairwiseJudge):
        asked.heard = heard
    try:
        rows = list(noise_rows(judge.name, asked_again(run, judge.name, asked, answers)))
    finally:
        asked.close()
    return [*rows, position_row(judge.name, heard)] if heard else rows


def asked_again(run: Run, name: str, judge: Judge, answers: int, seed: int = 0) -> "pd.DataFrame":
    """At least so many answers that a judge rated, rated once more.

    Columns sample_id, model, k, score, safe, again_score, again_safe.
    """
    each = len(run.manifest.panel.models) * run.manifest.panel.sampling.samples
    values = {"judge": name, "seed": str(seed), "samples": -(-answers // each)}
    with reading(run, ("pool", "responses", "judgments")) as connection:
        said = connection.sql(_DRAWN, params=values).to_arrow_table()
        parts = []
        for samples in pool_rows(connection, said["sample_id"].unique().to_pylist()):
            rows = said.filter(pc.is_in(said["sample_id"], value_set=samples["sample_id"]))
            verdicts = judge_once(judge, samples, rows)
            again = {f"again_{n}": verdicts[n] for n in ("score", "safe")}
            kept = ["sample_id", "model", "k", "score", "safe"]
            parts.append(pa.table({n: rows[n] for n in kept} | again))
    frame: pd.DataFrame = pa.concat_tables(parts).to_pandas()
    return frame


def noise_rows(name: str, frame: "pd.DataFrame") -> Iterator[Row]:
    """What the frame of :func:`asked_again` comes to, without answers that failed this time."""
    both = frame.dropna(subset=["again_score"])
    if not len(both):
        return
    sums = np.array([_sums(part) for _, part in both.groupby("sample_id", sort=True)])
    statistics = {
        ("score", "changed by"): ("away", "n"),
        ("score", "unchanged"): ("same", "n"),
        ("safe", "turned"): ("turned", "flags"),
        ("instability", "share of variance"): ("noise", "variance"),
    }
    draws = resampled_means(sums)
    for (measure, statistic), (top, bottom) in statistics.items():
        n = int(sums[:, _AT["flags" if measure == "safe" else "n"]].sum())
        found = interval(sums, draws, partial(_ratio, top=top, bottom=bottom))
        yield _row(name, measure, statistic, found, n)


def position_row(name: str, heard: Sequence[tuple[str, int, int]]) -> Row:
    """The bias of place of comparisons: sample, score of the one shown first, of the other."""
    by_sample: dict[str, list[int]] = {}
    for sample_id, first, second in heard:
        by_sample.setdefault(sample_id, []).append(first - second)
    sums = np.array([(len(d), sum(d)) for d in by_sample.values()], np.float64)
    found = interval(sums, resampled_means(sums), lambda means: means[:, 1] / means[:, 0])
    return _row(name, "position", "points", found, len(heard)) | {"part": "bias"}


def _sums(part: "pd.DataFrame") -> tuple[float, ...]:
    first, second = (part[n].to_numpy(np.float64) for n in ("score", "again_score"))
    d = second - first
    told = part.dropna(subset=["safe", "again_safe"])
    turned = (told["safe"] != told["again_safe"]).sum()
    variance = (first.var() + second.var()) / 2
    unchanged = (np.abs(d) < 1e-9).sum()
    return (
        len(d), float(np.abs(d).sum()), float(unchanged), len(told), float(turned),
        float(d.var() / 2), float(variance),
    )  # fmt: skip


def _ratio(means: Floats, top: str, bottom: str) -> Floats:
    return ratio(means[:, _AT[top]], means[:, _AT[bottom]])


def _row(
    name: str,
    measure: str,
    statistic: str,
    found: tuple[float | None, float | None, float | None],
    n: int,
) -> Row:
    value, low, high = found
    where = {"part": "noise", "measure": measure, "by": "judge", "among": name}
    return {**where, "statistic": statistic, "value": value, "low": low, "high": high, "n": n}
