"""Each planted failure fires its own monitor once; a healthy training fires none."""

from collections.abc import Sequence
from typing import Any

import pytest

from qibox.grpo.monitors.alarms import (
    DISTINCT,
    HACKING,
    HELPFULNESS,
    INSTABILITY,
    REFUSED,
    SECOND,
    SEEN,
    SIMILARITY,
    TEMPLATE,
    Alarm,
    alarms,
)
from qibox.manifests.monitors import Monitors

SETTINGS = Monitors(window=3, every=1)


def healthy(steps: int = 30) -> list[dict[str, Any]]:
    return [
        {
            "step": step,
            "kl": 0.01 + 0.002 * step,
            "grad_norm": 0.3 + 0.1 * (step % 3),
            "entropy": 0.4 - 0.005 * step,
            "clip_ratio/region_mean": 0.02,
            SEEN: 6 + 0.05 * step,
            SECOND: 6 + 0.04 * step,
            SIMILARITY: 0.6,
            DISTINCT: 0.5,
            REFUSED: 0.02 + 0.002 * step,
        }
        for step in range(1, steps + 1)
    ]


def watched(rows: Sequence[dict[str, Any]], settings: Monitors = SETTINGS) -> list[Alarm]:
    found: list[Alarm] = []
    for count in range(1, len(rows) + 1):
        found += alarms(rows[:count], settings, {alarm.monitor for alarm in found})
    return found


def test_a_healthy_training_fires_none() -> None:
    assert watched(healthy()) == []


@pytest.mark.parametrize(
    ("planted", "monitor", "measurement"),
    [
        (lambda step: {SECOND: 6 - 0.1 * step}, HACKING, SECOND),
        (lambda step: {SIMILARITY: 0.99, DISTINCT: 0.1}, TEMPLATE, SIMILARITY),
        (lambda step: {REFUSED: 0.02 + 0.03 * step}, HELPFULNESS, REFUSED),
        (lambda step: {"kl": 0.1 * step}, INSTABILITY, "kl"),
        (lambda step: {"grad_norm": 30.0 if step == 20 else 0.4}, INSTABILITY, "grad_norm"),
        (lambda step: {"grad_norm": None if step == 20 else 0.4}, INSTABILITY, "grad_norm"),
        (lambda step: {"entropy": 0.4 / step**2}, INSTABILITY, "entropy"),
        (
            lambda step: {"clip_ratio/region_mean": 0.02 * step},
            INSTABILITY,
            "clip_ratio/region_mean",
        ),
    ],
)
def test_a_planted_failure_fires_its_own_once(planted: Any, monitor: str, measurement: str) -> None:
    rows = [row | planted(row["step"]) for row in healthy()]
    (alarm,) = watched(rows)
    assert (alarm.monitor, alarm.measurement) == (monitor, measurement)
    assert alarm.sentence.startswith(f"after step {alarm.step} ")


def test_the_second_judges_fall_alone_is_no_hacking() -> None:
    rows = [row | {SEEN: 6.0, SECOND: 6 - 0.1 * row["step"]} for row in healthy()]
    assert watched(rows) == []


def test_by_hand() -> None:
    rows = healthy(6)
    for row, seen, second in zip(rows, [5, 5, 5, 6, 6, 6], [7, 7, 7, 6, 6, 6], strict=True):
        row |= {SEEN: seen, SECOND: second}
    (alarm,) = watched(rows)  # two windows of three: at the sixth, 5 → 6 and 7 → 6
    assert (alarm.step, alarm.value, alarm.threshold) == (6, -1.0, -0.5)
    assert "rose by 1.00 points" in alarm.sentence


def test_what_was_not_measured_fires_nothing() -> None:
    rows = [{"step": step, "kl": None} for step in range(1, 30)]
    assert watched(rows) == []
    assert alarms([], SETTINGS, ()) == []


def test_null_turns_a_monitor_off() -> None:
    rows = [row | {"kl": 9.0, "grad_norm": None} for row in healthy()]
    off = Monitors(window=3, kl=None, grad_norm=None)
    assert watched(rows, off) == []
