"""The whole job by hand, and what leads below a budget."""

import pytest

from qibox.forecast.stopwatch import Step
from qibox.forecast.whole import Job, remedies, whole_job


def step(name: str, start: float, each: float, copies: int = 0, *models: str) -> Step:
    folder = "responses" if models else "judgments"
    return Step(name, (folder,), models, copies, start, each)


STEPS = (
    step("responses-a", 60, 1.0, 1, "a"),
    step("responses-b", 60, 3.0, 2, "b"),
    step("responses-c", 60, 2.0, 1, "c"),
    step("judgments-j", 120, 6.0, 1),
)
JOB = Job(STEPS, samples=3000, responses=5, models=("a", "b", "c"), start_s=300)


def test_hours_by_hand() -> None:
    whole = whole_job(JOB)
    # 300 + (60 + 3000) + (60 + 9000) + (60 + 6000) + (120 + 18000) = 36,600 s
    assert whole.hours == pytest.approx(36_600 / 3600)
    # one card each, b two: 3060 + 2 · 9060 + 6060 + 18120
    assert whole.gpu_hours == pytest.approx(45_360 / 3600)


def test_copies_share_the_work_and_each_starts() -> None:
    job = Job(STEPS, 3000, 5, ("a", "b", "c"), gpus=4)
    # 4 copies of a, 2 of b, 4 of c and of the judge
    seconds = 60 + 3000 / 4 + 60 + 9000 / 2 + 60 + 6000 / 4 + 120 + 18000 / 4
    assert whole_job(job).hours == pytest.approx(seconds / 3600)
    assert whole_job(job).gpu_hours == pytest.approx(4 * seconds / 3600)


def test_what_leads_below_a_budget() -> None:
    found = {remedy.what: remedy.hours for remedy in remedies(JOB, 6.5)}
    # K = 3: 600 s that stay + 36,000 · 3/5; without b: 300 + 60 + 3000 + 60 + 6000 + 120 + 12,000
    assert found["K = 3 instead of 5"] == pytest.approx((600 + 36_000 * 0.6) / 3600)
    assert found["without b"] == pytest.approx(21_540 / 3600)
    assert found["1,900 samples alone"] == pytest.approx(23_400 / 3600)  # 600 + 12 n ≤ 23,400
    assert len(found) == 3


def test_what_does_not_lead_there_is_left_out() -> None:
    assert [remedy.what for remedy in remedies(JOB, 0.2)] == [
        "10 samples alone"
    ]  # 600 + 12 n ≤ 720
    assert list(remedies(JOB, 0.1)) == []
    (first, *_) = remedies(JOB, 2.5)
    assert first.what == "K = 1 instead of 5, which leaves no self-instability"
