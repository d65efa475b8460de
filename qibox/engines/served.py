"""Ask a model where it is served: which server's model is meant, and is it the one?

``qibox serve`` gives a model two names on its server: its id, and one with the revision of its
weights and a hash of the settings that decide its answers. Who asks such a server learns from the
second name that its manifest's model is served there, and at which revision; keys are then those of
that model, wherever it runs. A server that somebody else started is known by the model's source,
and its revision is the manifest's word.
"""

import hashlib
import json
import os
from typing import TYPE_CHECKING

from qibox.engines.base import Engine
from qibox.errors import QiboxError, UsageError
from qibox.fields import identity
from qibox.manifests.panel import ModelSpec
from qibox.manifests.settings import OpenAISettings, settings_for

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_VARIABLE = "QIBOX_KEY"  # the environment variable with the key that a server asks for
CONCURRENCY = 64  # requests in flight; vLLM batches what is there
REQUEST_TIMEOUT = 300.0  # seconds for one attempt
ATTEMPTS = 3
DEADLINE = 900.0  # seconds for one request, all its attempts and waits
GIVE_UP_AFTER = 64  # requests in a row without an answer
LOOK_TIMEOUT = 20.0  # seconds for the list of what a server serves


def full_name(name: str, spec: ModelSpec) -> str:
    """The name that tells a resolved model's revision and settings: ``id@revision#settings``."""
    return f"{name}@{spec.revision}#{_settings_hash(spec)}"


def _settings_hash(spec: ModelSpec) -> str:
    """A hash of what decides a served model's answers beside its weights: 12 hex digits."""
    decides = identity(ModelSpec(source="", settings=spec.settings))["settings"]
    content = {"settings": decides, "trust_remote_code": spec.trust_remote_code}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def resolve_served(name: str, spec: ModelSpec) -> ModelSpec:
    """The model as it is served at ``spec.at``: run by vLLM, at the revision that the server tells.

    Raises:
        UsageError: no server answers there, it serves another model, another revision, or the
            same one with other settings; or the manifest's engine is not vLLM.
    """
    from qibox.engines.chat import template_text

    if spec.engine not in ("auto", "vllm"):
        raise UsageError(
            f"'{name}' runs on engine {spec.engine} by its manifest, and {spec.at} is "
            "to be vLLM's: write engine: vllm (or auto) there, or leave the address out"
        )
    settings = settings_for("vllm", spec.settings)
    if settings.get("chat_template") is not None:
        settings = {**settings, "chat_template": template_text(settings["chat_template"])}
    found = spec.model_copy(update={"engine": "vllm", "settings": settings})
    _, revision = _find(name, found)
    return found.model_copy(update={"revision": revision})


def served_engine(name: str, spec: ModelSpec) -> Engine:
    """An engine that asks the server of a resolved model; ``name`` is the model's id.

    Raises:
        UsageError: as :func:`resolve_served`.
    """
    from qibox.engines.openai import OpenAIEngine

    served, _ = _find(name, spec)
    assert spec.at is not None
    settings = OpenAISettings(
        base_url=spec.at,
        api_key_env=KEY_VARIABLE if os.environ.get(KEY_VARIABLE) else None,
        concurrency=CONCURRENCY,
        request_timeout_s=REQUEST_TIMEOUT,
        deadline_s=DEADLINE,
        attempts=ATTEMPTS,
        give_up_after=GIVE_UP_AFTER,
        native_n=True,
    )
    if spec.reasoning is not None:  # marks that are special tokens are left out unless asked for
        settings = settings.model_copy(update={"extra_body": {"skip_special_tokens": False}})
    return OpenAIEngine(spec.noise_id or name, served, settings, spec.manner)


def _find(name: str, spec: ModelSpec) -> tuple[str, str | None]:
    """By which name the server at ``spec.at`` serves the model, and at which revision."""
    assert spec.at is not None
    names = _served_at(name, spec.at)
    ours = next((each for each in names if each.startswith(f"{name}@")), None)
    if ours is None:
        if spec.source in names:
            return spec.source, spec.revision
        raise UsageError(
            f"the server at {spec.at} serves {', '.join(names) or 'nothing'} and not '{name}' "
            f"({spec.source}): start one with `qibox serve {name}`"
        )
    revision = ours.removeprefix(f"{name}@").partition("#")[0]
    if spec.revision not in (None, revision):
        raise UsageError(
            f"the server at {spec.at} serves '{name}' at revision {revision}, and "
            f"{spec.revision} is wanted: start it with those weights"
        )
    if ours != full_name(name, spec.model_copy(update={"revision": revision})):
        raise UsageError(
            f"the server at {spec.at} serves '{name}' with other settings than this manifest's "
            f"({json.dumps(spec.settings)}): start it with `qibox serve` from the same manifest"
        )
    return ours, revision


def _served_at(name: str, url: str) -> "Sequence[str]":
    import openai

    key = os.environ.get(KEY_VARIABLE)
    try:
        with openai.OpenAI(
            base_url=url, api_key=key or "none", max_retries=1, timeout=LOOK_TIMEOUT
        ) as client:
            return [each.id for each in client.models.list()]
    except openai.AuthenticationError as error:
        what = "refuses the key in" if key else "asks for a key: put it into"
        raise UsageError(
            f"the server at {url} {what} the environment variable {KEY_VARIABLE}"
        ) from error
    except openai.APIConnectionError as error:
        raise UsageError(
            f"no server answers at {url}: start it with `qibox serve {name}`, or mend the address"
        ) from error
    except (openai.OpenAIError, ValueError) as error:
        raise QiboxError(
            f"the server at {url} does not list its models ({type(error).__name__}): give the "
            "address that ends in /v1"
        ) from error
