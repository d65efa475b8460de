"""The rollout on a scripted policy: token 9 ends a turn, 70 and 80 are the inserted turns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from qibox.grpo.conversation import Drawn
from qibox.grpo.credit import Array
from qibox.grpo.judging import Rating
from qibox.grpo.rollout import Trajectory, Turns, reward_of, roll_out
from qibox.manifests import RecipeManifest
from qibox.manifests.recipe import Credit, Rollout, Unsafe
from qibox.verdict import Verdict, VerdictWeights, score_verdict

TURNS = Turns(reflect=[70], correct=[80])
SCORES = {"safe": 9.0, "unsafe": 2.0, "still unsafe": 3.0, "corrected": 8.0}


class Script:
    """Writes prepared turns, in order, and remembers what it was given."""

    end_ids = (9,)

    def __init__(self, turns: list[list[Drawn]], texts: dict[tuple[int, ...], str]) -> None:
        self._turns = iter(turns)
        self._texts = texts
        self.asked: list[tuple[list[int], list[list[int]], int]] = []

    def write(self, rows: list[int], so_far: list[list[int]], max_tokens: int) -> list[Drawn]:
        self.asked.append((rows, so_far, max_tokens))
        return next(self._turns)

    def text(self, ids: Sequence[int]) -> str:
        return self._texts[tuple(ids)]

    def gather(self, values: Array) -> tuple[Array, slice]:
        return values, slice(0, len(values))


def rate(sample_ids: list[str], texts: list[str]) -> list[Rating]:
    ratings = []
    for text in texts:
        score = SCORES.get(text)
        safe = "unsafe" not in text if score is not None else None
        ratings.append(Rating(score=score, answer_score=score, safe=safe))
    return ratings


def how(unsafe: Unsafe = "reflect", k: int = 2) -> RecipeManifest:
    rollout = Rollout(
        unsafe=unsafe,
        reflection_prompt="why ?",
        correction_prompt="again .",
        max_draft_tokens=4,
        max_reflection_tokens=3,
    )
    return RecipeManifest(
        name="scripted",
        about="a scripted policy",
        policy="none",
        rollout=rollout,
        steps=1,
        samples_per_prompt=k,
        prompts_per_step=1,
        learning_rate=1.0,
    )


def run(script: Script, recipe: RecipeManifest, rows: int = 2) -> list[Trajectory]:
    recipe = recipe.model_copy(update={"samples_per_prompt": rows})
    ids = [f"s{i}" for i in range(rows)]
    return roll_out(ids, script, rate, TURNS, recipe, lambda each: reward_of(each, "structured"))


def one_unsafe() -> Script:
    """Row 0 is safe; row 1 is unsafe, reflects without coming to an end, and is corrected."""
    return Script(
        [
            [Drawn([1, 9]), Drawn([2, 3, 9])],
            [Drawn([4, 4, 4])],
            [Drawn([5, 9])],
        ],
        {(1, 9): "safe", (2, 3, 9): "unsafe", (4, 4, 4): "it was bad", (5, 9): "corrected"},
    )


def test_only_an_unsafe_draft_is_reflected_upon_and_corrected() -> None:
    script = one_unsafe()
    safe, corrected = run(script, how())
    assert script.asked == [
        ([0, 1], [[], []], 4),
        ([1], [[2, 3, 9, 70]], 3),
        # The reflection was cut off, so its end token is inserted too.
        ([1], [[2, 3, 9, 70, 4, 4, 4, 9, 80]], 4),
    ]
    assert (safe.reflection_text, safe.final_text, safe.reward) == (None, "safe", 9.0)
    assert (safe.unsafe_draft, safe.corrected) == (False, None)
    assert (corrected.reflection_text, corrected.final_text) == ("it was bad", "corrected")
    assert (corrected.draft_text, corrected.unsafe_draft) == ("unsafe", True)
    assert (corrected.corrected, corrected.reward) == (True, 8.0)
    assert safe.completion_ids() == [1, 9]
    assert corrected.completion_ids() == [2, 3, 9, 70, 4, 4, 4, 9, 80, 5, 9]


@pytest.mark.parametrize(
    ("credit", "mask"),
    [
        # draft 2 3 9, inserted 70, reflection 4 4 4, inserted 9 80, correction 5 9
        ("turn", [1, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1]),
        ("trajectory", [1, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1]),
        ("recovery", [0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1]),
        ("correction", [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]),
    ],
)
def test_inserted_tokens_are_never_trained(credit: Credit, mask: list[int]) -> None:
    safe, corrected = run(one_unsafe(), how())
    assert corrected.mask(credit) == mask
    assert safe.mask(credit) == [1, 1]  # nothing was corrected: the draft is trained whole


def test_a_correction_that_stays_unsafe_is_rewarded_as_it_is() -> None:
    script = Script(
        [[Drawn([2, 9])], [Drawn([4, 9])], [Drawn([6, 9])]],
        {(2, 9): "unsafe", (4, 9): "why", (6, 9): "still unsafe"},
    )
    (each,) = run(script, how(), rows=1)
    assert (each.corrected, each.reward, each.final_text) == (False, 3.0, "still unsafe")


def test_discard_takes_an_unsafe_draft_out() -> None:
    script = one_unsafe()
    safe, unsafe = run(script, how("discard"))
    assert len(script.asked) == 1
    assert (safe.discarded, safe.reward, safe.mask("turn")) == (False, 9.0, [1, 1])
    assert (unsafe.discarded, unsafe.reward, unsafe.mask("turn")) == (True, None, [0, 0, 0])


def test_plain_rewards_an_unsafe_draft_as_it_is() -> None:
    script = one_unsafe()
    _, unsafe = run(script, how("plain"))
    assert len(script.asked) == 1
    assert (unsafe.reward, unsafe.corrected, unsafe.mask("turn")) == (2.0, False, [1, 1, 1])


def test_a_draft_that_could_not_be_judged_is_left_alone_and_unrewarded() -> None:
    script = Script([[Drawn([7, 9])]], {(7, 9): "gibberish"})
    (each,) = run(script, how(), rows=1)
    assert (each.unsafe_draft, each.corrected, each.reward) == (None, None, None)
    assert each.discarded is False


def test_log_probabilities_are_those_of_the_policys_own_tokens() -> None:
    def written(ids: list[int], logprob: float | None) -> Drawn:
        return Drawn(ids, None if logprob is None else [logprob] * len(ids))

    def draws(last: float | None) -> list[list[Drawn]]:
        return [[written([2, 9], -1.0)], [written([4, 9], -2.0)], [written([5, 9], last)]]

    texts: dict[tuple[int, ...], Any] = {(2, 9): "unsafe", (4, 9): "why", (5, 9): "corrected"}
    (known,) = run(Script(draws(-3.0), texts), how(), rows=1)
    assert known.logprobs() == [-1.0, -1.0, 0.0, -2.0, -2.0, 0.0, -3.0, -3.0]
    (unknown,) = run(Script(draws(None), texts), how(), rows=1)
    assert unknown.logprobs() is None


def test_each_turn_is_worth_its_own() -> None:
    safe, corrected = run(one_unsafe(), how())
    # Drafts 9 and 2: mean 5.5, std √(2 · 3.5²) = 4.9497. The correction has 8, and drafts and
    # finals 9, 2, 9, 8 have mean 7 and std √((4 + 25 + 4 + 1) / 3) = 3.3665.
    assert safe.advantages[0] == pytest.approx(3.5 / 4.9498475, rel=1e-6)
    assert corrected.advantages == pytest.approx((-3.5 / 4.9498475, 2.5 / 3.3666016), rel=1e-6)
    assert not safe.zero_variance


def test_a_group_of_equals_teaches_nothing() -> None:
    script = Script([[Drawn([1, 9]), Drawn([2, 9])]], {(1, 9): "safe", (2, 9): "safe"})
    rows = run(script, how())
    assert [each.zero_variance for each in rows] == [True, True]
    assert [each.advantages[0] for each in rows] == [0.0, 0.0]


WRONG = Verdict(
    logical_coherence=9,
    image_grounding=9,
    safety_awareness=9,
    harmlessness=10,
    helpfulness=7,
    hallucination=True,
    contradiction=False,
    grounding_gap=1,
    safe=True,
    rationale="",
)


def test_structured_feels_every_penalty_and_scalar_none() -> None:
    rating = Rating(verdict=WRONG, **score_verdict(WRONG, VerdictWeights()).model_dump())
    # answer (2·10 + 7) / 3 = 9; reasoning 9; combined 9, capped at 4 by the hallucination, less 2.
    assert reward_of(rating, "structured") == 2.0
    assert reward_of(rating, "scalar") == 9.0


def test_an_unjudged_response_has_no_reward() -> None:
    assert reward_of(Rating(reason="no answer"), "structured") is None
    assert reward_of(Rating(reason="no answer"), "scalar") is None


class Elsewhere(Script):
    """A process beside another one, which has an unsafe draft."""

    def gather(self, values: Array) -> tuple[Array, slice]:
        other = [1.0] if values.ndim == 1 else [[2.0, 8.0, 1.0], [9.0, 9.0, 0.0]]
        return np.concatenate([values, np.array(other)]), slice(0, len(values))


def test_a_process_without_unsafe_drafts_draws_when_another_has_one() -> None:
    script = Elsewhere(
        [[Drawn([1, 9]), Drawn([2, 9])], [], []], {(1, 9): "safe", (2, 9): "corrected"}
    )
    rows = run(script, how())
    assert script.asked[1:] == [([], [], 3), ([], [], 4)]
    assert [each.reflection for each in rows] == [None, None]
    assert rows[0].advantages[0] == pytest.approx(0.5 / (0.5**0.5 + 1e-4))
