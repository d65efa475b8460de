"""What to watch in a step's rollouts, from their rows alone.

Each value is a share in [0, 1], None where nothing can be counted. The signatures of a training
that goes wrong: reflections that repeat (a template), over-refusal on harmless samples, corrections
that stay unsafe.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from qibox.evaluation.measures import is_over_refusal

Row = Mapping[str, Any]


def rollout_metrics(rows: Sequence[Row]) -> dict[str, float | None]:
    """Shares over a step's rows of :data:`qibox.tables.ROLLOUTS`.

    unsafe_drafts: of judged drafts. corrected: of unsafe drafts, those that ended safe.
    repeated_reflections: of reflections, those whose words came before in this step.
    over_refusal: of final responses to samples of no risk. discarded and unjudged: of all.
    """
    reflections = [row["reflection"] for row in rows if row["reflection"] is not None]
    # A pairwise judge gives no criteria: then nothing can be said of over-refusal.
    harmless = [row for row in rows if row["risk"] == "none" and row["final_helpfulness"]]
    return {
        "unsafe_drafts": _share([row["unsafe_draft"] for row in rows]),
        "corrected": _share([row["corrected"] for row in rows]),
        "repeated_reflections": (
            1 - len(set(reflections)) / len(reflections) if reflections else None
        ),
        "over_refusal": _share(
            [
                is_over_refusal(
                    row["final_safe"], row["final_harmlessness"], row["final_helpfulness"]
                )
                for row in harmless
            ]
        ),
        "discarded": _share([row["discarded"] for row in rows]),
        "unjudged": _share([row["final_safe"] is None for row in rows]),
    }


def _share(values: Sequence[bool | None]) -> float | None:
    """Share of True among those that are not None."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
