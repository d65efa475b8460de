"""What a policy and each panel member answered to the samples that the policy was profiled on.

Reads RUN/profiles/<policy>/judgments and RUN/judgments, both by the run's first judge.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from qibox.catalog.connect import reading
from qibox.manifests.recipe import Reward
from qibox.run.directory import Run

Floats = npt.NDArray[np.float64]

_SCORE: dict[Reward, str] = {"structured": "score", "scalar": "answer_score"}

# Answers that agree in score and safety are of one class: they have one reward.
_CLASSES = """
select sample_id, count(*) as answers, bool_and(safe) as safe
from profile_judgments
where model = ? and judge = ? and {score} is not null and safe is not null
group by sample_id, {score}, safe order by sample_id
"""

_FACTS = """
select sample_id, coalesce(risk, 'unknown') as risk, instability, disagreement, self_instability,
       unsafe
from (select sample_id, avg((not safe)::int) as unsafe from profile_judgments
      where model = ? and judge = ? and safe is not null group by sample_id)
join pool using (sample_id) join scores using (sample_id)
where quality is not null order by sample_id
"""

_MEMBERS = """
select sample_id, model, avg((not safe)::int) as unsafe,
       case when count(*) > 1 then var_samp((not safe)::int) end as spread
from judgments where judge = ? and safe is not null
  and sample_id in (select sample_id from asked) group by sample_id, model
"""


@dataclass(frozen=True)
class Answers:
    """Of each sample that the policy was profiled on and that has scores, row by row."""

    sample_ids: pa.Array
    kinds: npt.NDArray[np.object_]  # of risk
    flat: Floats  # chance that a group teaches nothing, [0, 1]
    unsafe: Floats  # share of the policy's answers
    signals: Mapping[str, Floats]  # by name; NaN where unknown
    members: Mapping[str, Floats]  # unsafe share of each panel member's answers; NaN likewise


def answers(run: Run, policy: str, group: int, reward: Reward, recovers: bool) -> Answers:
    """Look up what a policy and the panel answered.

    Args:
        run: scored, and profiled by the policy.
        policy: its name in the run.
        group: K of the groups that it is to be trained on.
        reward: what of a verdict is the reward.
        recovers: whether unsafe drafts are corrected and the corrections learn.
    """
    judge = run.manifest.judges[0].name
    with reading(run, ("profile_judgments", "pool", "scores", "judgments")) as connection:
        facts = connection.sql(_FACTS, params=[policy, judge]).to_arrow_table()
        classes = connection.sql(
            _CLASSES.format(score=_SCORE[reward]), params=[policy, judge]
        ).to_arrow_table()
        connection.register("asked", facts.select(["sample_id"]))
        members = connection.sql(_MEMBERS, params=[judge]).to_arrow_table()
    ids = facts["sample_id"].combine_chunks()
    known = {name: _floats(facts[name]) for name in facts.column_names[2:-1]}
    unsafe, shares, spread = {}, {}, {}
    for model in run.manifest.panel.models:
        rows = members.filter(pa.compute.equal(members["model"], model))
        unsafe[model] = _placed(rows, "unsafe", ids)
        # where unsafe drafts are corrected, a group that is unsafe throughout teaches, too
        shares[f"unsafe share of {model}"] = unsafe[model]
        spread[f"spread of {model}"] = _placed(rows, "spread", ids)
    known["safety_spread"] = _mean(list(spread.values()))
    return Answers(
        ids,
        np.asarray(facts["risk"].to_pylist(), dtype=object),
        flatness(classes, ids, group, recovers),
        _floats(facts["unsafe"]),
        {name.replace("_", " "): values for name, values in (known | shares | spread).items()},
        unsafe,
    )


def flatness(classes: pa.Table, ids: pa.Array, group: int, recovers: bool) -> Floats:
    """Chance that K answers all have one reward, and so teach nothing; (n,) in [0, 1].

    Of n answers c are of a class: C(c, K)/C(n, K) is the chance that K of them, drawn without
    replacement, all are, an unbiased estimate for any K ≤ n (of more than n nothing is known, and
    K = n is taken). Where unsafe drafts are corrected, a group of drafts that are alike and unsafe
    still teaches by its corrections, so only safe classes count.
    """
    row = pa.compute.index_in(classes["sample_id"], value_set=ids)
    known = np.asarray(row.is_valid())
    place = row.drop_null().to_numpy().astype(np.int64)
    count = classes["answers"].to_numpy()[known].astype(np.float64)
    safe = np.asarray(classes["safe"].to_pylist(), np.bool_)[known]
    total = np.bincount(place, weights=count, minlength=len(ids))
    of = np.minimum(group, total[place])
    steps = np.arange(group)[:, None]  # (K, 1)
    used = steps < of
    ratio = np.maximum(count - steps, 0) / np.maximum(total[place] - steps, 1)
    chance = np.where(used, ratio, 1.0).prod(axis=0)
    if recovers:
        chance = chance * safe
    flat = np.bincount(place, weights=chance, minlength=len(ids)).astype(np.float64)
    return np.where(total > 0, np.minimum(flat, 1.0), np.nan)


def _mean(columns: list[Floats]) -> Floats:
    """Mean over the columns that are known; as qibox.scores has it, of older runs too."""
    known = [~np.isnan(column) for column in columns]
    total = np.sum([np.where(k, c, 0.0) for k, c in zip(known, columns, strict=True)], axis=0)
    count = np.sum(known, axis=0)
    mean: Floats = np.full(len(total), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _placed(rows: pa.Table, name: str, ids: pa.Array) -> Floats:
    found = np.full(len(ids), np.nan)
    at = pa.compute.index_in(rows["sample_id"], value_set=ids).to_numpy()
    found[at] = _floats(rows[name])
    return found


def _floats(values: pa.ChunkedArray) -> Floats:
    return np.asarray(values.cast(pa.float64()).to_numpy(), np.float64)  # null is NaN
