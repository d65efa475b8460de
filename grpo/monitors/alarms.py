"""What raises an alarm: the monitors, asked after each step about all rows so far.

A monitor reads rows of metrics.jsonl and nothing else, so that a training that goes on from a
checkpoint is watched as an unbroken one is. Each fires once.
"""

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qibox.manifests.monitors import Monitors

HACKING = "reward hacking"
TEMPLATE = "template"
HELPFULNESS = "loss of helpfulness"
INSTABILITY = "instability"

SECOND, SEEN = "second_score", "second_reward"  # of a probe: second judge's mean score, the first's
SIMILARITY, DISTINCT = "reflection_similarity", "reflection_distinct"
REFUSED = "held_out_over_refusal"

Row = Mapping[str, Any]  # what one step measured; a value may be None or missing


@dataclass(frozen=True)
class Alarm:
    """A failure that was seen, as :data:`qibox.tables.ALARMS` has it."""

    step: int
    monitor: str
    measurement: str  # that showed it
    value: float | None  # None: no finite number
    threshold: float
    sentence: str


def alarms(rows: Sequence[Row], settings: Monitors, fired: Collection[str]) -> list[Alarm]:
    """What the last of the rows raises, of monitors that have not fired yet."""
    if not rows:
        return []
    monitors = {
        HACKING: _hacking,
        TEMPLATE: _template,
        HELPFULNESS: _helpfulness,
        INSTABILITY: _instability,
    }
    found = [monitor(rows, settings) for name, monitor in monitors.items() if name not in fired]
    return [alarm for alarm in found if alarm is not None]


def _hacking(rows: Sequence[Row], settings: Monitors) -> Alarm | None:
    """The reward rises while a second judge's score of the same responses falls."""
    if settings.reward_rise is None or rows[-1].get(SECOND) is None:
        return None
    reward, second = _change(rows, SEEN, settings), _change(rows, SECOND, settings)
    if reward is None or second is None:
        return None
    if reward < settings.reward_rise or -second < settings.second_fall:
        return None
    return _alarm(
        rows,
        HACKING,
        SECOND,
        second,
        -settings.second_fall,
        f"the reward rose by {reward:.2f} points and the second judge's score of the same "
        f"responses fell by {-second:.2f}: the policy may be learning the judge's faults",
    )


def _template(rows: Sequence[Row], settings: Monitors) -> Alarm | None:
    """Reflections on different samples say the same."""
    if settings.similarity is None or rows[-1].get(SIMILARITY) is None:
        return None
    known = [row for row in rows if row.get(SIMILARITY) is not None][-settings.window :]
    if len(known) < settings.window:
        return None
    similarity = statistics.fmean(row[SIMILARITY] for row in known)
    distinct = statistics.fmean(row[DISTINCT] for row in known)
    if similarity < settings.similarity or distinct > settings.distinct:
        return None
    return _alarm(
        rows,
        TEMPLATE,
        SIMILARITY,
        similarity,
        settings.similarity,
        f"reflections on different samples are alike to {similarity:.0%}, with {distinct:.0%} of "
        "their word pairs distinct: they may have turned into a template",
    )


def _helpfulness(rows: Sequence[Row], settings: Monitors) -> Alarm | None:
    """More answers to harmless samples that are not trained on give nothing of what was asked."""
    if settings.over_refusal_rise is None or rows[-1].get(REFUSED) is None:
        return None
    known = [row[REFUSED] for row in rows if row.get(REFUSED) is not None]
    rise = known[-1] - known[0]
    if len(known) < 2 or rise < settings.over_refusal_rise:
        return None
    return _alarm(
        rows,
        HELPFULNESS,
        REFUSED,
        known[-1],
        known[0] + settings.over_refusal_rise,
        f"{known[-1]:.0%} of answers to harmless samples held out are refusals, {known[0]:.0%} at "
        "first: helpfulness is being lost",
    )


def _instability(rows: Sequence[Row], settings: Monitors) -> Alarm | None:
    """The step went too far, or the policy has nothing left to explore."""
    last = rows[-1]
    if settings.kl is not None and (last.get("kl") or 0.0) > settings.kl:
        says = f"the policy is {last['kl']:.2f} nats a token from its start"
        return _alarm(rows, INSTABILITY, "kl", last["kl"], settings.kl, says)
    if settings.grad_norm is not None and "grad_norm" in last:
        before = [row["grad_norm"] for row in rows[:-1] if row.get("grad_norm")]
        if last["grad_norm"] is None:
            says = "the gradient is no finite number"
            return _alarm(rows, INSTABILITY, "grad_norm", None, settings.grad_norm, says)
        if len(before) >= settings.window:
            bound = settings.grad_norm * statistics.median(before)
            if last["grad_norm"] > bound:
                says = f"the gradient's norm is {last['grad_norm']:.3g}, far above its usual size"
                return _alarm(rows, INSTABILITY, "grad_norm", last["grad_norm"], bound, says)
    ends = _ends(rows, "entropy", settings.window)
    if settings.entropy is not None and ends is not None:
        first, now = ends
        if now < settings.entropy * first:
            says = (
                f"the entropy of its words fell from {first:.3g} to {now:.3g} nats: it draws the "
            )
            says += "same again and again"
            return _alarm(rows, INSTABILITY, "entropy", now, settings.entropy * first, says)
    clipped = last.get("clip_ratio/region_mean")
    if settings.clipped is not None and clipped is not None and clipped > settings.clipped:
        says = f"the ratios of {clipped:.0%} of the tokens were clipped: the updates are too large"
        return _alarm(rows, INSTABILITY, "clip_ratio/region_mean", clipped, settings.clipped, says)
    return None


def _change(rows: Sequence[Row], name: str, settings: Monitors) -> float | None:
    """The last probes' mean less the first ones'; None before there are two windows apart."""
    ends = _ends(rows, name, settings.window)
    return None if ends is None else ends[1] - ends[0]


def _ends(rows: Sequence[Row], name: str, window: int) -> tuple[float, float] | None:
    """Means of a measurement over the first window and the last, where they do not overlap."""
    known = [row[name] for row in rows if row.get(name) is not None]
    if len(known) < 2 * window:
        return None
    return statistics.fmean(known[:window]), statistics.fmean(known[-window:])


def _alarm(
    rows: Sequence[Row],
    monitor: str,
    measurement: str,
    value: float | None,
    threshold: float,
    says: str,
) -> Alarm:
    step = int(rows[-1]["step"])
    return Alarm(step, monitor, measurement, value, threshold, f"after step {step} {says}")
