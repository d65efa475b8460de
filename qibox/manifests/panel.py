"""The panel: which models answer, how they are asked and how each is run."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from qibox.manifests.common import Checked, Identifier, Manifest
from qibox.manifests.sampling import Sampling

EngineName = Literal["auto", "transformers", "vllm", "openai", "replay"]


class Accelerator(Checked):
    """What one copy of a model needs; goes to Beam as resource hints."""

    type: str | None = None  # e.g. nvidia-h100-80gb, as the Beam runner names it; null: none
    count: Annotated[int, Field(ge=1)] = 1
    min_ram_gb: Annotated[float, Field(gt=0)] | None = None  # host memory, GB


class ModelSpec(Checked):
    """One model and how it is run."""

    source: str  # a hub id, a directory, builtin:<name>, or for openai the served model's name
    revision: str | None = None  # hub commit; part of every unit's key
    engine: EngineName = "auto"  # auto: vllm where a GPU is found, transformers elsewhere
    settings: dict[str, Any] = {}  # the engine's own options, checked by the engine
    system: str | None = None  # system prompt
    accelerator: Accelerator | None = None
    size_b: Annotated[float, Field(gt=0)] | None = None  # parameters, billions
    noise_id: str | None = None  # id that keys its sampling noise; null: its own
    trust_remote_code: bool = False  # needs the command line's consent as well


class PanelManifest(Manifest):
    """The models of a panel and what each of them is asked."""

    models: Annotated[dict[Identifier, ModelSpec], Field(min_length=1)]
    prompt: str = "{question}"  # the user turn; {question} is replaced by the sample's question
    sampling: Sampling = Sampling(samples=5, temperature=1.0, max_tokens=1024)
    min_models: Annotated[int, Field(ge=1)] = 1  # models judged, below which a score is NULL
    min_responses: Annotated[int, Field(ge=1)] = 1  # judgments for a model to count

    @model_validator(mode="after")
    def _limits_can_be_met(self) -> Self:
        if "{question}" not in self.prompt:
            raise ValueError("prompt must contain {question}")
        if self.min_models > len(self.models):
            raise ValueError(f"min_models is {self.min_models} but {len(self.models)} models exist")
        if self.min_responses > self.sampling.samples:
            raise ValueError(
                f"min_responses is {self.min_responses} but sampling.samples is "
                f"{self.sampling.samples}"
            )
        return self
