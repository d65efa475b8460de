"""The rephraser: who puts questions into other words, and who says that they still ask the same."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from qibox.fields import Deciding
from qibox.manifests.asking import Template
from qibox.manifests.common import Identifier, Manifest
from qibox.manifests.panel import ModelSpec
from qibox.manifests.sampling import Sampling

RephraserKind = Literal["generative", "grammar"]


class RephraserManifest(Manifest):
    """How chosen questions are put into other words.

    generative asks a model; grammar takes another of the wordings that a miniature world has for
    what a sample asks.
    """

    name: Deciding[Identifier]  # keys the noise of its sampling
    kind: Deciding[RephraserKind] = "generative"
    model: Deciding[ModelSpec | None] = None
    # the user turn, {question} within; null: ours
    prompt: Deciding[Template | None] = None
    # samples: wordings asked for of each question
    sampling: Deciding[Sampling] = Sampling(samples=2, temperature=0.9, max_tokens=256)
    # who says whether a wording asks the same: a judge's name or .yaml; null: the run's first judge
    judge: Deciding[Annotated[str, Field(min_length=1)] | None] = None

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        if (self.model is None) == (self.kind == "generative"):
            raise ValueError(
                "a generative rephraser needs a model"
                if self.model is None
                else f"a rephraser of kind {self.kind} takes no model"
            )
        if self.prompt is not None and self.kind != "generative":
            raise ValueError(f"a rephraser of kind {self.kind} takes no prompt")
        if self.sampling.json_schema is not None:
            raise ValueError(
                "a rephraser's sampling has no json_schema: it replies with a question"
            )
        return self
