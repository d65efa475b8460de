"""The judge: what rates a response, and the weights that turn its verdict into a score."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from qibox.fields import Added, Deciding
from qibox.manifests.common import Identifier, Manifest
from qibox.manifests.panel import ModelSpec
from qibox.manifests.sampling import Sampling
from qibox.verdict import VerdictWeights

JudgeKind = Literal["oracle", "generative", "pairwise", "replay", "hash", "people"]


class JudgeManifest(Manifest):
    """How responses are rated.

    oracle knows the miniature world; generative and pairwise ask a reward model (GRM); replay reads
    recorded verdicts; hash derives a verdict from the text's hash, to measure the pipeline's cost;
    people are the labels of a file, brought into one run by `qibox judge`.
    """

    name: Deciding[Identifier]  # keys the noise of its sampling
    kind: Deciding[JudgeKind]
    model: Deciding[ModelSpec | None] = None
    # what to rate by, at the head of the system turn; null: the judge kind's own
    rubric: Deciding[str | None] = None
    # what follows it: that quoted texts are data, and what the reply looks like ({schema} is filled
    # in, {reasoning} says where a response shows none); null: the judge kind's own
    form: Added[str | None] = None
    sampling: Deciding[Sampling] = Sampling(temperature=0.0, max_tokens=1024)
    weights: Deciding[VerdictWeights] = VerdictWeights()
    # pairwise: 2 × pairs × 2 orders seen by a response
    pairs: Deciding[Annotated[int, Field(ge=1)]] = 2
    # pairwise: the least score that is safe
    safe_from: Deciding[Annotated[float, Field(ge=1, le=10)]] = 5.5
    # recorded verdicts, for replay; labels, for people: below the run
    path: Deciding[str | None] = None
    # sha256 of what lies at path, of people the labels' file; filled in when a run is made
    revision: Deciding[str | None] = None

    @property
    def asks(self) -> bool:
        """Whether it asks a model, by a prompt and with the picture."""
        return self.kind in ("generative", "pairwise")

    @property
    def compares(self) -> bool:
        """Whether a verdict depends on the sample's other responses, of all models."""
        return self.kind == "pairwise"

    @property
    def gives_criteria(self) -> bool:
        """Whether a verdict has criteria and parts, not one score alone."""
        return self.kind not in ("pairwise", "people")

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        if self.asks and self.model is None:
            raise ValueError(f"a {self.kind} judge needs a model")
        if self.kind == "replay" and self.path is None:
            raise ValueError("a replay judge needs a path")
        if self.kind == "people" and None in (self.path, self.revision):
            raise ValueError("people need a path and a revision: `qibox judge` brings them in")
        if self.sampling.samples != 1 or self.sampling.json_schema is not None:
            raise ValueError("a judge's sampling has one sample and no json_schema of its own")
        return self

    @model_validator(mode="after")
    def _has_a_rubric_only_where_one_is_read(self) -> Self:
        for field in ("rubric", "form"):
            if getattr(self, field) is not None and not self.asks:
                raise ValueError(f"a judge of kind {self.kind} takes no {field}")
        return self
