"""Which replicates of another folder count: those of which this plan's judge rated every arm."""

from pathlib import Path

from qibox.comparison.earlier import PLAN, REPLICATES_FILE, places_of, read_earlier
from qibox.run.storage import Storage
from tests.comparison.worlds import plan, row, table

ROWS = [
    *(row(arm, 0, 0.5, judge=judge) for arm in ("random", "box") for judge in ("grm", "late")),
    row("random", 1, 0.5, judge="grm"),
    *(row(arm, 1, 0.5, judge="late") for arm in ("random", "box")),
    *(row(arm, 2, 0.5, judge="late") for arm in ("random", "box")),
]


def seeds(folder: Path, **changes: object) -> set[int]:
    """The seeds whose replicates count under a plan."""
    kept = Storage(folder)
    kept.write_mapping(PLAN, plan().model_dump(mode="json"))
    kept.write_table(REPLICATES_FILE, table(ROWS))
    return {seed for _, seed in places_of(read_earlier(plan(**changes), [str(folder)], 4))}


def test_a_replicate_is_whole_once_the_judge_that_decides_has_rated_every_arm(
    tmp_path: Path,
) -> None:
    assert seeds(tmp_path, judges=["grm"]) == {0}
    assert seeds(tmp_path, judges=["judges/late.yaml", "grm"]) == {0, 1, 2}
    assert seeds(tmp_path, judges=["another"]) == set()


def test_one_that_is_asked_of_the_last_step_alone_makes_none_whole(tmp_path: Path) -> None:
    assert seeds(tmp_path, last_judges=["late"]) == {0}
