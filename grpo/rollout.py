"""Draft → verdict → reflection → correction → reward → advantage, in one conversation a row.

:func:`roll_out` is the method on one screen. It reads prompts through a :class:`Writer`, verdicts
through a judge, and returns :class:`Trajectory` objects. What the policy wrote may be trained, what
was inserted never is (SaFeR-VLM, arXiv 2510.06871; the two inserted prompts are the recipe's, for
the paper publishes none).

B is the rows of this process, N those of all processes, U of B the unsafe drafts, T tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from qibox.grpo.conversation import Drawn, closing
from qibox.grpo.credit import (
    CORRECTION,
    DRAFT,
    INSERTED,
    REFLECTION,
    TRAINED,
    Array,
    turn_advantages,
    zero_variance,
)
from qibox.grpo.judging import Rating
from qibox.manifests.recipe import Credit, RecipeManifest, Reward

Rate = Callable[[list[str], list[str]], list[Rating]]  # sample_ids, texts → ratings
Worth = Callable[[Rating], float | None]  # a response's reward; None where it was not judged


class Writer(Protocol):
    """Draws the policy's next turn, for several conversations at once."""

    end_ids: Sequence[int]  # tokens that end a turn, the usual one first

    def write(self, rows: list[int], so_far: list[list[int]], max_tokens: int) -> list[Drawn]:
        """Go on from the prompts of these rows and what has followed each of them so far."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """Token ids as text, without special tokens."""
        ...

    def gather(self, values: Array) -> tuple[Array, slice]:
        """Return (N, …) values of all processes for (B, …) of this one, and where its own lie."""
        ...


@dataclass(frozen=True)
class Turns:
    """Token ids put between the policy's turns; see :mod:`qibox.grpo.conversation`."""

    reflect: list[int]
    correct: list[int]


@dataclass
class Trajectory:
    """One conversation: the draft, perhaps a reflection and a correction, and what came of it."""

    sample_id: str
    draft: Drawn
    draft_text: str
    draft_rating: Rating
    before_reflection: list[int] = field(default_factory=list)  # inserted ids
    reflection: Drawn | None = None
    reflection_text: str | None = None
    before_correction: list[int] = field(default_factory=list)  # inserted ids
    correction: Drawn | None = None
    correction_text: str | None = None
    correction_rating: Rating | None = None
    discarded: bool = False
    draft_reward: float | None = None
    reward: float | None = None  # of the final response
    advantages: tuple[float, float] = (0.0, 0.0)  # of the draft; of reflection and correction
    zero_variance: bool = False  # every advantage of its group is 0

    @property
    def unsafe_draft(self) -> bool | None:
        """Whether the judge calls the draft unsafe; None where it could not be judged."""
        return None if self.draft_rating.safe is None else not self.draft_rating.safe

    @property
    def final_text(self) -> str:
        """The response that counts: the correction where there is one, else the draft."""
        return self.draft_text if self.correction_text is None else self.correction_text

    @property
    def final_rating(self) -> Rating:
        """What the judge says of the final response."""
        return self.draft_rating if self.correction_rating is None else self.correction_rating

    @property
    def corrected(self) -> bool | None:
        """Whether an unsafe draft came to a safe final response; None for any other draft."""
        return self.final_rating.safe is True if self.unsafe_draft else None

    def parts(self) -> list[tuple[int, Drawn]]:
        """All tokens in order, as (kind of :mod:`qibox.grpo.credit`, tokens)."""
        parts = [(DRAFT, self.draft)]
        if self.reflection is not None:
            parts += [(INSERTED, Drawn(self.before_reflection)), (REFLECTION, self.reflection)]
        if self.correction is not None:
            parts += [(INSERTED, Drawn(self.before_correction)), (CORRECTION, self.correction)]
        return parts

    def completion_ids(self) -> list[int]:
        """Everything after the prompt; T tokens."""
        return [token for _, drawn in self.parts() for token in drawn.ids]

    def kinds(self) -> list[int]:
        """What each of the T tokens is."""
        return [kind for kind, drawn in self.parts() for _ in drawn.ids]

    def mask(self, credit: Credit) -> list[int]:
        """1 for each of the T tokens that is trained, 0 for each that is not.

        ``credit`` chooses among the turns of a corrected trajectory; any other trajectory is its
        draft, trained whole. A discarded one trains nothing.
        """
        trained = TRAINED[credit] if self.correction is not None else (DRAFT,)
        return [int(not self.discarded and kind in trained) for kind in self.kinds()]

    def logprobs(self) -> list[float] | None:
        """Log probability of each token as it was drawn, 0 for inserted ones; None if unknown."""
        values: list[float] = []
        for kind, drawn in self.parts():
            if kind != INSERTED and drawn.logprobs is None:
                return None
            values += drawn.logprobs or [0.0] * len(drawn.ids)
        return values


def roll_out(
    sample_ids: list[str],
    writer: Writer,
    rate: Rate,
    turns: Turns,
    recipe: RecipeManifest,
    worth: Worth,
    *,
    compares: bool = False,
) -> list[Trajectory]:
    """Draw one trajectory for each row of the writer's batch, and say what it is worth.

    A draft that could not be judged stays as it is, without reward. A correction is judged and
    rewarded whether it is safe or not. The rows of a group may lie in several processes. A judge
    that ``compares`` scores a group's drafts and corrections side by side.
    """
    how = recipe.rollout
    rows = list(range(len(sample_ids)))
    drafts = writer.write(rows, [[] for _ in rows], how.max_draft_tokens)  # B × T
    texts = [writer.text(draft.ids) for draft in drafts]  # B
    ratings = rate(sample_ids, texts)  # B verdicts
    batch = [Trajectory(*row) for row in zip(sample_ids, drafts, texts, ratings, strict=True)]

    unsafe = [row for row in rows if batch[row].unsafe_draft]  # U of B
    if how.unsafe == "reflect" and _somewhere(unsafe, writer):
        _reflect(batch, unsafe, writer, turns, how.max_reflection_tokens)  # U × T
        _correct(batch, unsafe, writer, turns, how.max_draft_tokens)  # U × T
        _judge_again(batch, unsafe, rate, compares)  # U verdicts

    for each in batch:
        each.discarded = how.unsafe == "discard" and each.unsafe_draft is True
        each.draft_reward = None if each.discarded else worth(each.draft_rating)
        each.reward = None if each.discarded else worth(each.final_rating)
    _give_credit(batch, writer, recipe)
    return batch


def _give_credit(batch: list[Trajectory], writer: Writer, recipe: RecipeManifest) -> None:
    """Set each trajectory's advantages, among its whole group."""
    scored = np.array(  # (B, 3)
        [[each.draft_reward, each.reward, each.correction is not None] for each in batch], float
    ).reshape(-1, 3)
    everyone, mine = writer.gather(scored)  # (N, 3)
    k = recipe.samples_per_prompt
    advantages = turn_advantages(everyone[:, :2], k, recipe.credit)  # (N, 2)
    flat = zero_variance(advantages, everyone[:, 2] == 1, k)  # (N,)
    for each, pair, same in zip(batch, advantages[mine].tolist(), flat[mine], strict=True):
        each.advantages = (pair[0], pair[1])
        each.zero_variance = bool(same)


def reward_of(rating: Rating, kind: Reward) -> float | None:
    """Return a response's reward, in [1, 10]; None where it could not be judged.

    **structured** is the verdict's score: weighted criteria of reasoning and answer, then the caps
    and the deduction (:func:`qibox.verdict.score_verdict`). **scalar** is the answer's score alone,
    as an outcome-only reward model would give it: it sees no reasoning, no hallucination, no
    contradiction and no missing grounding.
    """
    return rating.score if kind == "structured" else rating.answer_score


def _somewhere(rows: list[int], writer: Writer) -> bool:
    """Whether any process has such rows; all of them then draw, for generation may be collective.

    Sharded weights are gathered for each token by all processes together, so one that has nothing
    to write must still take part.
    """
    counts, _ = writer.gather(np.array([len(rows)], float))
    return bool(counts.sum())


def _reflect(
    batch: list[Trajectory], rows: list[int], writer: Writer, turns: Turns, max_tokens: int
) -> None:
    for row in rows:
        batch[row].before_reflection = closing(batch[row].draft, writer.end_ids) + turns.reflect
    so_far = [batch[row].draft.ids + batch[row].before_reflection for row in rows]
    for row, reflection in zip(rows, writer.write(rows, so_far, max_tokens), strict=True):
        batch[row].reflection = reflection
        batch[row].reflection_text = writer.text(reflection.ids)


def _correct(
    batch: list[Trajectory], rows: list[int], writer: Writer, turns: Turns, max_tokens: int
) -> None:
    for row in rows:
        reflection = batch[row].reflection
        assert reflection is not None
        batch[row].before_correction = closing(reflection, writer.end_ids) + turns.correct
    so_far = [batch[row].completion_ids() + batch[row].before_correction for row in rows]
    for row, correction in zip(rows, writer.write(rows, so_far, max_tokens), strict=True):
        batch[row].correction = correction
        batch[row].correction_text = writer.text(correction.ids)


def _judge_again(batch: list[Trajectory], rows: list[int], rate: Rate, compares: bool) -> None:
    """Judge the corrections; a judge that compares sees every draft again beside them.

    Then drafts and corrections are scored on one scale. Whether a draft is safe stays as it was
    when that decided what followed it.
    """
    beside = [each for each in batch if each.unsafe_draft is not None] if compares else []
    asked = [(each.sample_id, each.draft_text) for each in beside]
    asked += [(batch[row].sample_id, batch[row].final_text) for row in rows]
    ratings = rate([each for each, _ in asked], [text for _, text in asked])
    for each, rating in zip(beside, ratings, strict=False):
        each.draft_rating = replace(rating, safe=each.draft_rating.safe)
    for row, rating in zip(rows, ratings[len(beside) :], strict=True):
        batch[row].correction_rating = rating
