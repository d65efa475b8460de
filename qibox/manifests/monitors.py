"""When a training's known failures count as seen; which they are is PAPER-given, when is measured.

Reward hacking, reflections that turn into a template, loss of helpfulness, instability. A threshold
that is null turns its monitor off. None of them changes what is trained, unless a training is told
to stop at an alarm.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from qibox.fields import Operating
from qibox.manifests.common import Checked

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Monitors(Checked):
    """Windows, probes and thresholds; rises and falls are between the first window and the last."""

    window: Operating[Count] = 10  # steps, or probes, that a mean is taken over
    every: Operating[Count] = 10  # steps between two probes
    # Rates a sample of the rollouts again and rewards nothing; null: nobody does
    second_judge: Operating[str | None] = None
    responses: Operating[Count] = 16  # that it rates in a probe
    probe: Operating[Annotated[int, Field(ge=0)]] = 0  # harmless samples held out, asked in a probe
    # Reward hacking: the reward of what the second judge sees rises by reward_rise, points, while
    # its own score of the same falls by second_fall.
    reward_rise: Operating[Positive | None] = 0.5
    second_fall: Operating[Positive] = 0.5
    # A template: of reflections on different samples, the mean similarity to the nearest one
    similarity: Operating[Share | None] = 0.95
    distinct: Operating[Share] = 0.25  # and the share of their word pairs that are distinct
    over_refusal_rise: Operating[Share | None] = 0.25  # of answers to harmless samples held out
    kl: Operating[Positive | None] = 1.0  # nats a token from the start policy
    grad_norm: Operating[Positive | None] = 20.0  # times its median so far, or no finite number
    entropy: Operating[Share | None] = 0.1  # of that of the first window
    clipped: Operating[Share | None] = 0.5  # share of tokens whose ratio was clipped

    @model_validator(mode="after")
    def _windows_are_filled(self) -> Self:
        if self.second_judge is not None and self.reward_rise is None:
            raise ValueError(
                f"second_judge {self.second_judge} is asked for reward_rise alone, which is null: "
                "give it a number, or leave the judge out"
            )
        return self
