"""The cost of a training step, on next to nothing: one step of one prompt is counted."""

import pytest

from tests.benchmarks.scripts import FOLDER, script


@pytest.mark.slow
def test_the_trainers_take_turns_and_the_last_lines_are_the_figures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    script("train_step").main(["--steps", "2", "--prompts", "2", "--size", "4"])
    *parts, outside, ratio = capsys.readouterr().out.splitlines()[-5:]
    names = ["plain TRL", "plain rollouts", "three of ten drafts corrected"]
    assert [line.split(": ")[0] for line in parts] == names
    for line in parts:
        times = dict(part.split(" ")[:2] for part in line.split(": ")[1].split(", "))
        each = [float(times[name]) for name in ("generation", "judging", "forward", "backward")]
        assert min(each) > 0
        assert sum(each) < 1.5 * float(times["all"])  # medians, each of its own
    assert 0 < float(outside.removeprefix("outside: ")) < 1
    assert float(ratio.removeprefix("ratio: ")) > 0


def test_three_of_ten_drafts_are_called_unsafe_and_no_correction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    bench = script("train_step")
    selection = bench.selection_of(2)
    judge = bench.Judge(selection, forced=True)
    ids = selection["sample_id"].to_pylist() * 5
    assert [rating.safe for rating in judge(ids, ["yes ."] * 10)] == [False] * 3 + [True] * 7
    assert all(rating.safe for rating in judge(ids[:3], ["yes ."] * 3))
    honest = bench.Judge(selection, forced=False)
    assert all(rating.safe for rating in honest(ids, ["yes ."] * 10))
