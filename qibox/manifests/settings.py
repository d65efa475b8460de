"""Each engine's own options: what a panel's ``settings`` may hold, with units and defaults."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, Field, ValidationError

from qibox.errors import UsageError
from qibox.fields import Deciding, Operating
from qibox.manifests.common import Checked

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


OURS = {  # arguments of vllm.LLM that are settled elsewhere, or that keep a run safe
    "model", "revision", "trust_remote_code", "load_format", "structured_outputs_config",
    "limit_mm_per_prompt", "tensor_parallel_size", "data_parallel_size", "gpu_memory_utilization",
    "max_model_len", "max_num_seqs", "dtype", "quantization", "enforce_eager",
    "enable_prefix_caching", "mm_processor_kwargs",
}  # fmt: skip
CODE = ("_cls", "_plugin", "_plugins", "_class")  # such arguments name code to be run


def _address(url: str) -> str:
    parts = urlsplit(url)  # raises ValueError for half an IPv6 address
    if not parts.hostname or parts.port == 0:  # reading a port raises one beyond 65535
        raise ValueError("an address has a host and a port from 1 to 65535")
    return url


# keys and passwords do not belong there
Address = Annotated[str, Field(pattern=r"^https?://[^@\s?#]+$"), AfterValidator(_address)]


def _further(extra: dict[str, Any]) -> dict[str, Any]:
    for name in extra:
        if name in OURS:
            raise ValueError(f"'{name}' is not for `extra`: it is a setting of its own, or fixed")
        if name.endswith(CODE):
            raise ValueError(f"'{name}' would run code of a manifest's choosing: leave it out")
    return extra


class HostedSettings(Checked):
    """How an engine's child process is watched."""

    start_timeout_s: Operating[Positive] = 1800.0  # to load the model
    # without a sign of progress, after which it is killed
    stall_timeout_s: Operating[Positive] = 600.0
    # of a batch whose process died, before it is divided
    retries: Operating[Annotated[int, Field(ge=0)]] = 2
    # of the process for one batch, all told
    max_restarts: Operating[Annotated[int, Field(ge=0)]] = 16


class TransformersSettings(HostedSettings):
    """Options of the transformers engine."""

    isolate: Operating[bool] = True  # run in a child process, which can be killed when it hangs
    # sequences at once; null: by the model's size; halved when OOM
    batch_size: Operating[Count | None] = None
    dtype: Deciding[Dtype] = "auto"  # auto: bfloat16 on a GPU, float32 elsewhere
    device_map: Operating[str | dict[str, Any] | None] = None  # null: the GPU if there is one
    attn_implementation: Deciding[str | None] = None
    # tokens, prompt and completion; null: the model's own
    max_model_len: Deciding[Count | None] = None
    processor: Deciding[dict[str, Any]] = {}  # for the model's processor, e.g. max_pixels


class VLLMSettings(HostedSettings):
    """Options of the in-process vLLM engine; names and meanings are vLLM's own."""

    tensor_parallel_size: Operating[Count] = 1
    # copies of the model, each in its own process on cards of its own; null: as many as there are
    # cards for
    data_parallel_size: Operating[Count | None] = None
    gpu_memory_utilization: Operating[Annotated[float, Field(gt=0, le=1)]] = 0.9
    # vLLM's engine in a process of its own: prompts are made ready while it works; null: with a GPU
    own_process: Operating[bool | None] = None
    max_model_len: Deciding[Count | None] = None
    max_num_seqs: Operating[Count | None] = None
    dtype: Deciding[Dtype] = "auto"
    quantization: Deciding[str | None] = None
    enforce_eager: Operating[bool | None] = None  # null: only without a GPU
    enable_prefix_caching: Operating[bool] = True
    cpu_kv_cache_gb: Operating[Positive] = 1.0  # without a GPU, GB
    chat_template: Deciding[str | None] = None  # a path, or the text; null: the model's own
    mm_processor_kwargs: Deciding[dict[str, Any]] = {}
    # more for vllm.LLM, as it is
    extra: Deciding[Annotated[dict[str, Any], AfterValidator(_further)]] = {}


class OpenAISettings(Checked):
    """Options of the engine behind an OpenAI-compatible endpoint."""

    base_url: Deciding[Address]  # e.g. http://127.0.0.1:8000/v1
    # the environment variable that holds the key; null: none needed
    api_key_env: Operating[str | None] = None
    concurrency: Operating[Count] = 32  # requests in flight
    request_timeout_s: Operating[Positive] = 120.0  # one attempt
    deadline_s: Operating[Positive] = 600.0  # one request, all its attempts and waits
    attempts: Operating[Count] = 6
    max_wait_s: Operating[Positive] = 30.0  # between two attempts, at most
    native_n: Operating[bool | None] = None  # the server honours n > 1; null: found out by asking
    give_up_after: Operating[Count] = 200  # requests in a row without an answer, that stop the work
    send_seed: Deciding[bool] = True
    max_tokens_field: Deciding[Literal["max_tokens", "max_completion_tokens"]] = "max_tokens"
    structured: Deciding[bool] = True  # send a JSON schema where the sampling has one
    extra_body: Deciding[dict[str, Any]] = {}


class ReplaySettings(Checked):
    """Options of the replay engine."""

    # whose responses to play, where the recording holds several; null: id
    model: Deciding[str | None] = None


class AnySettings(TransformersSettings, VLLMSettings, OpenAISettings, ReplaySettings):
    """All engines' options by name, to tell what each is there for: one name, one role."""


SETTINGS: dict[str, type[Checked]] = {
    "transformers": TransformersSettings,
    "vllm": VLLMSettings,
    "openai": OpenAISettings,
    "replay": ReplaySettings,
}


def check_settings(engine: str, settings: dict[str, Any]) -> Checked:
    """Check a model's settings against its engine's options.

    Raises:
        UsageError: an option the engine does not have, or a value that does not hold.
    """
    kind = SETTINGS[engine]
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        parts = []
        for item in error.errors(include_url=False):
            field = ".".join(map(str, item["loc"]))
            if item["type"] == "extra_forbidden":
                parts.append(f"unknown option '{field}' (allowed: {', '.join(kind.model_fields)})")
            elif item["type"] == "missing":
                parts.append(f"option '{field}' is missing")
            else:
                parts.append(f"{field} is {item['input']!r}: {item['msg']}")
        raise UsageError(
            f"settings of engine {engine}: {'; '.join(parts)}", fields=["settings"]
        ) from error


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Read settings as they are typed, NAME=VALUE each, the value as in a manifest.

    Raises:
        UsageError: no name or no value, a value that is not YAML, or a name twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError(
                f"setting '{text}' is none: write NAME=VALUE, such as max_num_seqs=64",
                fields=["settings"],
            )
        if name in found:
            raise UsageError(f"setting '{name}' is given twice: keep one", fields=["settings"])
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(
                f"setting '{name}' is {value}, which is not YAML: write it as in a manifest",
                fields=["settings"],
            ) from error
    return found


def settings_for(engine: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Of settings written for whichever engine is found, those that this one has.

    An option that no local engine has stays, and is refused by :func:`check_settings`.
    """
    own = SETTINGS[engine].model_fields
    local = {n for name in ("transformers", "vllm") for n in SETTINGS[name].model_fields}
    return {name: value for name, value in settings.items() if name in own or name not in local}
