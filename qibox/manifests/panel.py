"""The panel: which models answer, how they are asked and how each is run."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from qibox.fields import Added, Deciding, Like, Operating
from qibox.manifests.asking import Manner, Marks, Template, TemplateArguments
from qibox.manifests.common import Checked, Identifier, Manifest
from qibox.manifests.sampling import Sampling
from qibox.manifests.settings import Address, AnySettings

EngineName = Literal["auto", "transformers", "vllm", "openai", "replay"]


class Accelerator(Checked):
    """What one copy of a model needs; goes to Beam as resource hints."""

    # e.g. nvidia-h100-80gb, as the Beam runner names it; null: none
    type: Operating[str | None] = None
    count: Operating[Annotated[int, Field(ge=1)]] = 1
    min_ram_gb: Operating[Annotated[float, Field(gt=0)] | None] = None  # host memory, GB


class ModelSpec(Checked):
    """One model and how it is run."""

    # a hub id, a directory, builtin:<name>, or for openai the served model's name
    source: Deciding[str]
    revision: Deciding[str | None] = None  # hub commit, or sha256 of a directory's files
    engine: Deciding[EngineName] = "auto"  # auto: vllm where a GPU is found, else transformers
    # the engine's own options, checked by the engine
    settings: Annotated[Deciding[dict[str, Any]], Like(AnySettings)] = {}
    system: Deciding[str | None] = None  # system prompt; "": none, whatever the panel says
    accelerator: Operating[Accelerator | None] = None
    size_b: Operating[Annotated[float, Field(gt=0)] | None] = None  # parameters, billions
    # e.g. http://127.0.0.1:8000/v1, where vLLM serves it (`qibox serve`); null: it is loaded here
    at: Operating[Address | None] = None
    trust_remote_code: Deciding[bool] = False  # needs the command line's consent as well
    noise_id: Added[str | None] = None  # id that keys its sampling noise; null: its own
    # its own user turn, {question} within; null: the panel's
    prompt: Added[Template | None] = None
    template_arguments: Added[TemplateArguments] = {}  # for its chat template, beside the panel's
    # how it shows its reasoning; null: by <think> and </think>, if at all
    reasoning: Added[Marks | None] = None
    # pictures with more are shrunk to so many, whatever engine runs it; null: as they are
    max_pixels: Added[Annotated[int, Field(ge=1)] | None] = None

    @property
    def manner(self) -> Manner:
        """What its engine is to know of how it is asked and read."""
        marks = () if self.reasoning is None else self.reasoning.all
        return Manner(self.template_arguments, marks, self.max_pixels)


class PanelManifest(Manifest):
    """The models of a panel and what each of them is asked."""

    models: Deciding[Annotated[dict[Identifier, ModelSpec], Field(min_length=1)]]
    # the user turn; {question} is replaced by the sample's question
    prompt: Deciding[Template] = "{question}"
    system: Added[str | None] = None  # system prompt of the models that have none of their own
    # of a picture, for the models that have no limit of their own
    max_pixels: Added[Annotated[int, Field(ge=1)] | None] = None
    # for the models' chat templates, such as enable_thinking; a model's own go before
    template_arguments: Added[TemplateArguments] = {}
    sampling: Deciding[Sampling] = Sampling(samples=5, temperature=1.0, max_tokens=1024)
    # models judged, below which a score is NULL
    min_models: Deciding[Annotated[int, Field(ge=1)]] = 1
    min_responses: Deciding[Annotated[int, Field(ge=1)]] = 1  # judgments for a model to count

    def asked(self, model: ModelSpec) -> ModelSpec:
        """A model with what the panel says of how to ask, where the model says nothing itself."""
        return model.model_copy(
            update={
                "system": self.system if model.system is None else model.system,
                "max_pixels": self.max_pixels if model.max_pixels is None else model.max_pixels,
                "template_arguments": {**self.template_arguments, **model.template_arguments},
            }
        )

    @model_validator(mode="after")
    def _limits_can_be_met(self) -> Self:
        if self.min_models > len(self.models):
            raise ValueError(f"min_models is {self.min_models} but {len(self.models)} models exist")
        if self.min_responses > self.sampling.samples:
            raise ValueError(
                f"min_responses is {self.min_responses} but sampling.samples is "
                f"{self.sampling.samples}"
            )
        return self
