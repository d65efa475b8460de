"""Arms beside each other: rows by hand, and what is said of them."""

import numpy as np
import pytest

from qibox.comparison.analysis import AREA, comparisons_table, pairs_of, verdict
from qibox.comparison.statistics import paired_difference
from tests.comparison.worlds import ARMS, plan, row, table

BOX = [0.80, 0.84, 0.82, 0.86, 0.85, 0.81]
RANDOM = [0.70, 0.75, 0.70, 0.77, 0.73, 0.72]


def both(values: dict[str, list[float]], **changes: object) -> list[dict[str, object]]:
    return [row(arm, s, v, **changes) for arm in values for s, v in enumerate(values[arm])]


def test_the_primary_row_is_the_paired_test_over_replicates() -> None:
    made = table(both({"box": BOX, "random": RANDOM}))
    (primary,) = comparisons_table(plan(), made, {}).to_pylist()
    assert (primary["arm"], primary["against"], primary["role"]) == ("box", "random", "primary")
    assert primary["replicates"] == 6
    expected = paired_difference(np.array(BOX), np.array(RANDOM))
    assert primary["difference"] == pytest.approx(np.mean(BOX) - np.mean(RANDOM), abs=1e-6)
    assert (primary["low"], primary["high"]) == (
        pytest.approx(expected.low, abs=1e-6),
        pytest.approx(expected.high, abs=1e-6),
    )
    assert primary["p_permutation"] == pytest.approx(2 / 64, abs=1e-6)
    assert (primary["p_holm"], primary["p_non_inferior"], primary["nested_low"]) == (None,) * 3


def test_replicates_are_paired_and_those_that_lack_an_arm_left_out() -> None:
    rows = both({"box": BOX, "random": RANDOM[:4]})
    rows += [row("random", 4, None)]  # evaluated, and nothing could be counted
    (primary,) = comparisons_table(plan(), table(rows[::-1]), {}).to_pylist()
    assert primary["replicates"] == 4
    assert primary["difference"] == pytest.approx(np.mean(np.subtract(BOX[:4], RANDOM[:4])), 1e-5)


def test_seeds_of_two_worlds_are_replicates_of_their_own() -> None:
    rows = both({"box": BOX, "random": RANDOM}) + both({"box": BOX, "random": BOX}, world="v")
    (primary,) = comparisons_table(plan(), table(rows), {}).to_pylist()
    assert primary["replicates"] == 12


def test_secondaries_share_holms_correction_and_helpfulness_may_be_not_inferior() -> None:
    rows = both({"box": BOX, "random": RANDOM})
    rows += both({"box": RANDOM, "random": RANDOM}, measure="helpfulness", among="none")
    rows += both({"box": BOX, "random": RANDOM}, among="explicit")
    found = {
        (r["measure"], r["among"]): r
        for r in comparisons_table(plan(), table(rows), {}).to_pylist()
    }
    helpful, explicit = found["helpfulness", "none"], found["safety", "explicit"]
    assert (helpful["role"], helpful["p"], helpful["p_holm"]) == ("secondary", 1.0, 1.0)
    assert helpful["p_non_inferior"] == 0.0
    assert explicit["p_holm"] == pytest.approx(min(1.0, 2 * explicit["p"]), abs=1e-6)


def test_the_area_of_a_curve_is_compared_where_all_its_checkpoints_are_there() -> None:
    rows = both({"box": BOX, "random": RANDOM})
    rows += both({"box": RANDOM, "random": RANDOM[:5]}, step=2)
    made = comparisons_table(plan(checkpoints=[2]), table(rows), {}).to_pylist()
    area = next(r for r in made if r["measure"] == f"safety{AREA}")
    assert area["replicates"] == 5
    means = (np.mean(BOX[:5]) + np.mean(RANDOM[:5])) / 2
    assert area["arm_mean"] == pytest.approx(means, abs=1e-6)


def test_other_judges_and_mediators_do_not_decide() -> None:
    rows = both({"box": BOX, "random": RANDOM})
    rows += both({"box": RANDOM, "random": BOX}, judge="second")
    rows += both({"box": BOX, "random": RANDOM}, judge=None, measure="corrected", among=None)
    made = comparisons_table(plan(judges=["j", "second"]), table(rows), {}).to_pylist()
    assert [(r["role"], r["judge"], r["measure"]) for r in made] == [
        ("primary", "j", "safety"),
        ("secondary", "second", "safety"),
        ("mediator", None, "corrected"),
    ]


def test_pairs_are_of_each_arm_with_each_opponent_once() -> None:
    three = [*ARMS, {"name": "frame", "select": "--random 8"}]
    assert pairs_of(plan(arms=three)) == [("box", "random"), ("frame", "random")]
    assert pairs_of(plan(arms=three, against=["random", "box"])) == [
        ("box", "random"),
        ("frame", "random"),
        ("frame", "box"),
    ]


PRIMARY = {"arm": "box", "against": "random", "replicates": 6, "p": 0.01, "p_permutation": 0.03}
HELPFUL = {"p_non_inferior": 0.01}


@pytest.mark.parametrize(
    ("changes", "helpful", "says"),
    [
        ({"difference": 0.1}, HELPFUL, "box beats random, and its helpfulness is not inferior"),
        ({"difference": -0.1}, HELPFUL, "random beats box"),
        (
            {"difference": 0.1},
            {"p_non_inferior": 0.2},
            "box beats random, but that its helpfulness is not less by 2 points or more was not "
            "shown",
        ),
        (
            {"difference": 0.1, "p_permutation": 0.06, "smallest_effect": 0.034},
            HELPFUL,
            "no difference between box and random was shown: one of 3.4 points would have been "
            "found four times out of five",
        ),
        (
            {"difference": 0.1, "replicates": 5},
            HELPFUL,
            "box and random: with 5 of at least 6 replicates nothing can be significant",
        ),
    ],
)
def test_the_verdict(changes: dict[str, float], helpful: dict[str, float], says: str) -> None:
    assert verdict(plan(), PRIMARY | changes, helpful) == says


def test_a_judge_of_the_last_step_alone_does_not_decide() -> None:
    rows = both({"box": BOX, "random": RANDOM})
    rows += both({"box": RANDOM, "random": RANDOM}, judge="first-by-name")
    given = plan(last_judges=["judges/first-by-name.yaml"])
    roles = {r["judge"]: r["role"] for r in comparisons_table(given, table(rows), {}).to_pylist()}
    assert roles == {"j": "primary", "first-by-name": "secondary"}
