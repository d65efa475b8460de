"""Credit: what each turn of a trajectory is worth, from the scores of its group.

Reads scores, writes nothing. K trajectories of one prompt are a group; ``d`` are the scores of its
drafts and ``f`` those of its final responses, where a draft that was not corrected is its own final
one. ``mean`` and ``std`` leave out what was not judged; std (n − 1) and ε = 1e-4 are TRL's.

==============  ================================  ===================================  ============
credit          the draft's tokens                reflection and correction            not trained
==============  ================================  ===================================  ============
turn            (d − mean d) / (std d + ε)        (f − mean d) / (std (d and f) + ε)   –
trajectory      (f − mean f) / (std f + ε)        the same                             –
recovery        the same, if it stands alone      (f − mean f) / (std f + ε)           other drafts
correction      the same, if it stands alone      the same, the correction alone       the rest
==============  ================================  ===================================  ============

With one advantage for a whole trajectory the unsafe draft of one that ended well is reinforced;
``turn`` asks of a draft only what it is worth itself, and of a recovery what it improves on the
group's drafts. A turn that was not judged has advantage 0, and so has every inserted token.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qibox.manifests.recipe import Credit

Array = npt.NDArray[np.float64]

EPSILON = 1e-4  # TRL's, added to a group's std
INSERTED, DRAFT, REFLECTION, CORRECTION = range(4)  # kinds of tokens

TRAINED: dict[Credit, tuple[int, ...]] = {  # of a corrected trajectory; any other is its draft
    "turn": (DRAFT, REFLECTION, CORRECTION),
    "trajectory": (DRAFT, REFLECTION, CORRECTION),
    "recovery": (REFLECTION, CORRECTION),
    "correction": (CORRECTION,),
}


def turn_advantages(scores: Array, samples_per_prompt: int, credit: Credit) -> Array:
    """Advantage of each trajectory's draft and of its recovery, by the table above.

    Args:
        scores: (N, 2), of drafts and of final responses, NaN where there is none; groups of
            ``samples_per_prompt`` rows follow one another.
        samples_per_prompt: K.
        credit: which formula.

    Returns:
        (N, 2), finite; 0 where the score is missing, and where a group's scores do not differ.
    """
    draft, final = scores.reshape(-1, samples_per_prompt, 2).transpose(2, 0, 1)  # each (G, K)
    if credit == "turn":
        of_draft = _normalised(draft, draft, draft)
        of_recovery = _normalised(final, draft, np.concatenate([draft, final], axis=1))
    else:
        of_draft = of_recovery = _normalised(final, final, final)
    return np.stack([of_draft, of_recovery], axis=-1).reshape(-1, 2)


def token_advantages(
    advantages: Sequence[tuple[float, float]], kinds: Sequence[Sequence[int]]
) -> list[list[float]]:
    """Give each token its turn's advantage.

    Args:
        advantages: B pairs, as :func:`turn_advantages` has them.
        kinds: B lists of T token kinds, one list a trajectory.

    Returns:
        B lists of T advantages; 0 for inserted tokens.
    """
    spread = []
    for (draft, recovery), row in zip(advantages, kinds, strict=True):
        worth = {INSERTED: 0.0, DRAFT: draft, REFLECTION: recovery, CORRECTION: recovery}
        spread.append([worth[kind] for kind in row])
    return spread


def zero_variance(
    advantages: Array, recovered: npt.NDArray[np.bool_], samples_per_prompt: int
) -> npt.NDArray[np.bool_]:
    """Whether a trajectory's group teaches nothing: every advantage in it is 0.

    Args:
        advantages: (N, 2), as :func:`turn_advantages` has them.
        recovered: (N,), whether a trajectory has a reflection and a correction.
        samples_per_prompt: K.

    Returns:
        (N,), the same for all rows of a group.
    """
    used = np.stack([advantages[:, 0], np.where(recovered, advantages[:, 1], 0.0)], axis=-1)
    flat = (used == 0).reshape(-1, samples_per_prompt * 2).all(axis=1)
    return np.repeat(flat, samples_per_prompt)


def _normalised(values: Array, baseline: Array, spread: Array) -> Array:
    """(values − mean of baseline) / (std of spread + ε), a group a row; 0 where undefined."""
    out = np.zeros_like(values)
    for row, (value, base, among) in enumerate(zip(values, baseline, spread, strict=True)):
        base, among = base[~np.isnan(base)], among[~np.isnan(among)]
        if not len(base) or len(among) < 2 or np.ptp(among) == 0:
            continue  # nothing to compare with; exactly 0, not what rounding leaves of it
        out[row] = (value - base.mean()) / (among.std(ddof=1) + EPSILON)
    return np.nan_to_num(out, nan=0.0)
