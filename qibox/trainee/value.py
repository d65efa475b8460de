"""What a panel's scores are worth for one policy: do they tell where its groups have spread?

A group whose answers all have one reward teaches nothing (:func:`qibox.trainee.answers.flatness`).
For each signal of the panel:

- AUC: chance that of two samples, one whose group has spread and one whose group has none, the
  first has the larger signal, ties counting half; 0.5 is chance. A sample counts on either side by
  its own chance of spread. Overall, and within kinds of risk, where only pairs of one kind are
  compared (a signal that merely tells kinds apart has 0.5 there). Below 0.5 a signal tells, too:
  the smaller it is, the likelier a group has spread.
- kinship of a panel member: correlation of its unsafe shares with the policy's, both less their
  kind's mean. A relative is one whose interval lies above the median member's.

Intervals are percentile bootstraps over samples (95 %), seeded.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qibox.catalog.connect import reading
from qibox.run.directory import Run
from qibox.trainee.answers import Answers

Floats = npt.NDArray[np.float64]
Kinds = npt.NDArray[np.object_]

RESAMPLES = 300
COVERAGE = (2.5, 97.5)
SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; NaN where it cannot be told."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Signal:
    """How well a signal tells where groups have spread; two AUCs in [0, 1]."""

    name: str
    overall: Estimate
    within: Estimate


@dataclass(frozen=True)
class Value:
    """What a profile says of the panel's signals and the run's selections."""

    samples: int
    flat: float  # expected share of groups that teach nothing, over the samples profiled
    signals: tuple[Signal, ...]  # the best within kinds first
    kinship: Mapping[str, Estimate]  # by member, the nearest first
    relatives: tuple[str, ...]
    selections: Mapping[str, tuple[int, float]]  # samples; expected share that teaches nothing


def value(run: Run, known: Answers) -> Value:
    """Judge the panel's signals by a policy's answers."""
    rng = np.random.default_rng(SEED)
    n = len(known.flat)
    drawn = rng.integers(n, size=(RESAMPLES, n)) if n else np.zeros((RESAMPLES, 0), np.int64)
    times = np.stack([np.bincount(row, minlength=n) for row in drawn]).astype(np.float64)  # (B, n)
    one_kind = np.full(n, "all", dtype=object)
    signals = [
        Signal(
            name,
            _estimate([auc(values, 1 - known.flat, one_kind, by) for by in _weights(times)]),
            _estimate([auc(values, 1 - known.flat, known.kinds, by) for by in _weights(times)]),
        )
        for name, values in known.signals.items()
    ]
    kinship = {
        name: _estimate([_kinship(unsafe, known.unsafe, known.kinds, by) for by in _weights(times)])
        for name, unsafe in known.members.items()
    }
    return Value(
        n,
        float(np.nanmean(known.flat)) if n else float("nan"),
        tuple(sorted(signals, key=lambda s: (-np.nan_to_num(s.within.value), s.name))),
        dict(sorted(kinship.items(), key=lambda item: (-np.nan_to_num(item[1].value), item[0]))),
        relatives(kinship),
        _selections(run, known),
    )


def relatives(kinship: Mapping[str, Estimate]) -> tuple[str, ...]:
    """Members that are nearer to the policy than the median member, beyond chance."""
    values = [each.value for each in kinship.values() if not np.isnan(each.value)]
    middle = max(float(np.median(values)), 0.0) if values else 0.0
    return tuple(sorted(name for name, each in kinship.items() if each.low > middle))


def auc(signal: Floats, positive: Floats, kinds: Kinds, times: Floats) -> float:
    """Chance that a sample with spread has the larger signal than one of its kind without.

    ``positive`` (n,) in [0, 1] is a sample's chance of spread, ``times`` (n,) how often it counts;
    samples without a signal are left out. NaN without any pair.
    """
    won = pairs = 0.0
    there = ~np.isnan(signal) & ~np.isnan(positive)
    for kind in sorted({str(kind) for kind in kinds[there]}):
        of = there & (kinds == kind)
        _, code = np.unique(signal[of], return_inverse=True)
        up = np.bincount(code, positive[of] * times[of])
        down = np.bincount(code, (1 - positive[of]) * times[of])
        below = np.concatenate([[0.0], np.cumsum(down)[:-1]])
        won += float((up * (below + down / 2)).sum())
        pairs += float(up.sum() * down.sum())
    return won / pairs if pairs > 0 else float("nan")


def recommendation(found: Value) -> str:
    """What to do, in one sentence."""
    known = [each for each in found.signals if not np.isnan(each.within.value)]
    if not found.samples or not known:
        return "Nothing can be told: profile more samples, or ones on which answers differ."
    teach = f"{1 - found.flat:.0%} of the policy's groups have something to teach"
    telling = [each for each in known if each.within.low > 0.5 or each.within.high < 0.5]
    if not telling:
        return (
            f"{teach}, and no signal of the panel tells which within kinds of risk: set the mix of "
            "kinds by quotas, and rank by the profile itself or at random."
        )
    best = max(telling, key=lambda each: abs(each.within.value - 0.5))
    how = "larger" if best.within.value > 0.5 else "smaller"
    return (
        f"{teach}, and {best.name} tells best which: the {how} it is, the likelier (AUC "
        f"{best.within.value:.2f} within kinds); rank by that inside a frame of quotas, and "
        "compare with a random choice of the same mix."
    )


def _weights(times: Floats) -> list[Floats]:
    """The sample as it is, first, then the resamples."""
    return [np.ones(times.shape[1]), *times]


def _estimate(values: list[float]) -> Estimate:
    first, rest = values[0], np.array(values[1:])
    rest = rest[~np.isnan(rest)]
    if np.isnan(first) or not len(rest):
        return Estimate(first, float("nan"), float("nan"))
    low, high = np.percentile(rest, COVERAGE)
    return Estimate(float(first), float(low), float(high))


def _kinship(one: Floats, other: Floats, kinds: Kinds, times: Floats) -> float:
    """Weighted correlation of two shares, each less its kind's mean; NaN where one is constant."""
    there = ~np.isnan(one) & ~np.isnan(other)
    a, b, w = one[there].copy(), other[there].copy(), times[there]
    for kind in {str(kind) for kind in kinds[there]}:
        of = kinds[there] == kind
        if (total := w[of].sum()) > 0:
            a[of] -= (w[of] * a[of]).sum() / total
            b[of] -= (w[of] * b[of]).sum() / total
    scale = np.sqrt((w * a * a).sum() * (w * b * b).sum())
    return float((w * a * b).sum() / scale) if scale > 1e-12 else float("nan")


def _selections(run: Run, known: Answers) -> dict[str, tuple[int, float]]:
    """Expected share of groups that teach nothing, of the pool and of each selection.

    A variant counts as its sample does. A sample that was not profiled has the mean of its kind's,
    or of all where its kind has none.
    """
    with reading(run, ("pool", "selections")) as connection:
        rows = connection.sql(
            "select '(pool)' as name, sample_id, coalesce(risk, 'unknown') as risk from pool "
            "union all select selection, coalesce(variant_of, sample_id), "
            "coalesce(risk, 'unknown') from selections"
        ).fetchall()
    own = dict(zip(known.sample_ids.to_pylist(), known.flat, strict=True))
    own = {i: flat for i, flat in own.items() if not np.isnan(flat)}
    if not own:
        return {}
    by_kind = {
        kind: float(np.nanmean(known.flat[known.kinds == kind])) for kind in set(known.kinds)
    }
    over_all = float(np.mean(list(own.values())))
    found: dict[str, list[float]] = {}
    for name, sample_id, risk in rows:
        share = own.get(sample_id, by_kind.get(risk, over_all))
        found.setdefault(name, []).append(float(share))
    return {name: (len(shares), float(np.mean(shares))) for name, shares in sorted(found.items())}
