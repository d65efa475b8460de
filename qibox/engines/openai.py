"""The openai engine: any OpenAI-compatible endpoint, ``vllm serve`` included.

Requests run concurrently up to a bound. What may pass (429, 5xx, time-outs, cut connections,
replies that do not parse) is tried again with growing, jittered waits until the request's deadline;
what is left then is a row with the reason. An endpoint that refuses the key or does not know the
model, or has stopped answering altogether, stops the work instead: nothing is written for the
batch, and the same command goes on later.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa

from qibox.engines.chat import Neutraliser, messages
from qibox.engines.completions import Completion, assemble, completed, explain, failure
from qibox.engines.dataurl import image_url
from qibox.engines.endpoint import MalformedError, Request, Sender, TriedError, masked
from qibox.engines.noise import prompt_seed
from qibox.errors import QiboxError, UsageError
from qibox.manifests.asking import USUAL_MANNER, Manner
from qibox.manifests.sampling import Sampling
from qibox.manifests.settings import OpenAISettings
from qibox.pool.images import ImageError
from qibox.stopping import check, on_stop

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion


class OpenAIEngine:
    """Asks one model of one endpoint."""

    def __init__(
        self,
        model: str,
        served: str,
        settings: OpenAISettings,
        manner: Manner = USUAL_MANNER,
    ) -> None:
        """Prepare requests; ``served`` is the name under which the endpoint serves the model.

        Arguments of the chat template are told to servers that are vLLM's.

        Raises:
            UsageError: the environment lacks the key that the settings name.
        """
        self._id = model
        self._served = served
        self._settings = settings
        self._key = _key(settings.api_key_env)
        self._native_n = settings.native_n
        self._extra = dict(settings.extra_body)
        self._max_pixels = manner.max_pixels
        if manner.template_arguments:
            self._extra["chat_template_kwargs"] = manner.template_arguments
        self._neutralise = Neutraliser.common()
        self.usage: Counter[str] = Counter()  # requests, retries, prompt_tokens, completion_tokens
        self._sender = Sender(settings, self.usage, self._key)

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        """Complete each prompt ``sampling.samples`` times; see the module's head.

        Raises:
            QiboxError: the endpoint refuses the key or the model, or has stopped answering.
        """
        rows = prompts.to_pylist()
        try:
            done = asyncio.run(self._all(rows, sampling))
        except asyncio.CancelledError:
            check()
            raise
        return assemble([row["key"] for row in rows], done)

    def close(self) -> None:
        """Nothing is held between calls."""

    async def _all(
        self, rows: list[dict[str, Any]], sampling: Sampling
    ) -> list[Sequence[Completion]]:
        import openai

        async with openai.AsyncOpenAI(
            base_url=self._settings.base_url,
            api_key=self._key or "none",
            max_retries=0,  # the sender's own retries know about deadlines
            timeout=self._settings.request_timeout_s,
        ) as client:
            if not _is_openai(self._settings.base_url):
                # read from OPENAI_ORG_ID and OPENAI_PROJECT_ID, which name things of another house
                client.organization = client.project = None
            gate = asyncio.Semaphore(self._settings.concurrency)

            async def one(row: dict[str, Any]) -> Sequence[Completion]:
                async with gate:
                    return await self._completed(client, row, sampling)

            tasks = [asyncio.create_task(one(row)) for row in rows]
            every = asyncio.gather(*tasks)
            loop = asyncio.get_running_loop()
            try:
                with on_stop(lambda: loop.call_soon_threadsafe(every.cancel)):
                    return await every
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _completed(
        self, client: "AsyncOpenAI", row: dict[str, Any], sampling: Sampling
    ) -> Sequence[Completion]:
        """All completions of one prompt; never raises for this prompt's own sake."""
        try:
            return await self._complete(client, row, sampling)
        except ImageError as error:
            return [failure(str(error))] * sampling.samples
        except QiboxError:  # concerns every prompt
            raise
        except Exception as error:  # servers reply in more ways than can be foreseen
            return [failure(masked(explain(error), self._key))] * sampling.samples

    async def _complete(
        self, client: "AsyncOpenAI", row: dict[str, Any], sampling: Sampling
    ) -> Sequence[Completion]:
        body = await asyncio.to_thread(self._body, row, sampling)
        # Greedy completions are all the same one, and servers refuse to give it n times.
        wanted = 1 if sampling.temperature == 0 else sampling.samples
        seed = prompt_seed(sampling.seed, self._id, row["key"])
        done: list[Completion] = []
        if wanted > 1 and self._native_n is not False:
            done = await self._ask_many(client, body, seed, wanted)
        for k in range(len(done), wanted):
            done.extend(await self._ask(client, self._seeded(body, seed + k), 1))
            if k > 0 and done[k].reason is None and self._native_n is None:
                self._native_n = False  # one by one it answers
        return done * sampling.samples if sampling.temperature == 0 else done

    async def _ask_many(
        self, client: "AsyncOpenAI", body: Request, seed: int, wanted: int
    ) -> list[Completion]:
        """Ask for n completions at once; fewer come back where the server does not know n."""
        request = {**self._seeded(body, seed), "n": wanted}
        done = await self._ask(client, request, wanted)
        if len(done) == wanted and any(c.reason is None for c in done):
            self._native_n = True
        return done

    async def _ask(self, client: "AsyncOpenAI", request: Request, wanted: int) -> list[Completion]:
        """Up to ``wanted`` completions, or as many rows of the reason."""

        async def attempt() -> "ChatCompletion":
            return _checked(await client.chat.completions.create(**request))

        try:
            reply = await self._sender.send(attempt)
        except TriedError as error:
            if wanted > 1 and self._native_n is not True and error.status in (400, 422):
                return []  # perhaps it is n that the server refuses: ask one by one
            return [failure(str(error))] * wanted
        spent = _spent(reply)
        self.usage.update(spent)
        alone = spent.get("completion_tokens") if len(reply.choices) == 1 else None
        return [_completion(choice, alone) for choice in reply.choices[:wanted]]

    def _body(self, row: dict[str, Any], sampling: Sampling) -> Request:
        """The request for one prompt, without seed and n."""
        url = image_url(row["image"], self._max_pixels)
        image = None if url is None else {"type": "image_url", "image_url": {"url": url}}
        turns = messages(self._neutralise(row["text"]), row["system"], image)
        body: Request = {
            "model": self._served,
            "messages": turns,
            "temperature": sampling.temperature,
            self._settings.max_tokens_field: sampling.max_tokens,
        }
        if sampling.top_p < 1:
            body["top_p"] = sampling.top_p
        if sampling.json_schema is not None and self._settings.structured:
            plain = sampling.json_schema
            if _is_openai(self._settings.base_url):
                plain = _without_lengths(plain)
            schema = {"name": "verdict", "schema": plain, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self._extra:
            body["extra_body"] = self._extra
        return body

    def _seeded(self, body: Request, seed: int) -> Request:
        return {**body, "seed": seed} if self._settings.send_seed else body


def _without_lengths(schema: Any) -> Any:
    """A schema without bounds on texts, which OpenAI's strict mode does not take."""
    if not isinstance(schema, dict):
        return schema
    return {
        n: _without_lengths(v) for n, v in schema.items() if n not in ("maxLength", "minLength")
    }


def _is_openai(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise UsageError(
            f"the environment variable {variable} holds no key: export {variable}=… and run again"
        )
    return key


def _checked(reply: Any) -> "ChatCompletion":
    """A reply that is a chat completion with at least one choice."""
    from openai.types.chat import ChatCompletion, ChatCompletionMessage

    if not isinstance(reply, ChatCompletion) or not isinstance(reply.choices, list):
        raise MalformedError("reply is not a chat completion")
    told = [getattr(choice, "message", None) for choice in reply.choices]
    if not told or not all(isinstance(message, ChatCompletionMessage) for message in told):
        raise MalformedError("reply holds no completion")
    return reply


def _spent(reply: "ChatCompletion") -> dict[str, int]:
    """The tokens that the server says it counted; some say nothing, or no numbers."""
    names = ("prompt_tokens", "completion_tokens")
    counts = {name: getattr(reply.usage, name, None) for name in names}
    return {name: count for name, count in counts.items() if isinstance(count, int)}


def _completion(choice: Any, tokens: int | None) -> Completion:
    message = choice.message
    text = message.content if message.content is not None else getattr(message, "refusal", None)
    # Servers with a reasoning parser take the think block out of the text: put it back.
    extra = message.model_extra or {}
    thought = extra.get("reasoning") or extra.get("reasoning_content")
    if isinstance(thought, str) and thought:
        cut = not text and choice.finish_reason == "length"  # while it still thought
        text = f"<think> {thought.strip()}" + ("" if cut else f" </think> {text or ''}")
    if choice.finish_reason == "content_filter":
        return failure("endpoint's content filter withheld the completion")
    if not isinstance(text, str) or choice.finish_reason not in ("stop", "length"):
        return failure(f"endpoint gave no text (finish reason {choice.finish_reason})")
    return completed(text, choice.finish_reason, tokens)
