"""Send one request until it is answered, refused or past its deadline."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import tenacity

from qibox.errors import QiboxError
from qibox.manifests.settings import OpenAISettings

R = TypeVar("R")
Request = dict[str, Any]

MAX_MESSAGE = 200  # characters of what a server says
FIRST_WAIT = 0.5  # seconds, doubled at each further attempt and jittered


class MalformedError(Exception):
    """A reply that is not what was asked for."""


class TriedError(Exception):
    """The request was given up; the message says why, ``status`` is the last HTTP status."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Sender:
    """Retries, deadlines and the count of what was spent."""

    def __init__(self, settings: OpenAISettings, usage: Counter[str], key: str | None) -> None:
        """``key`` is left out of every message: some servers repeat it in their refusals."""
        self._settings = settings
        self._key = key
        self._usage = usage
        self._unanswered = 0  # requests in a row that came to nothing

    async def send(self, attempt: Callable[[], Awaitable[R]]) -> R:
        """Run ``attempt`` until it succeeds.

        Raises:
            TriedError: refused, or still failing at the last attempt or the deadline.
            QiboxError: the endpoint refuses the key or the model, or answers nothing any more.
        """
        failures: list[Exception] = []
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                reply = await self._retried(attempt, failures)
        except Exception as error:
            # A deadline says nothing of what went wrong until then.
            why = failures[-1] if failures and isinstance(error, TimeoutError) else error
            raise self._given_up(why) from error
        self._unanswered = 0
        return reply

    async def _retried(self, attempt: Callable[[], Awaitable[R]], failures: list[Exception]) -> R:
        waits = tenacity.wait_random_exponential(FIRST_WAIT, self._settings.max_wait_s)
        async for trial in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(may_pass),
            stop=self._is_last,
            wait=lambda state: max(waits(state), self._asked_to_wait(state)),
            reraise=True,
        ):
            with trial:
                self._usage["requests"] += 1
                self._usage["retries"] += trial.retry_state.attempt_number > 1
                try:
                    async with asyncio.timeout(self._settings.request_timeout_s):
                        return await attempt()
                except Exception as error:
                    failures.append(error)
                    raise
        raise AssertionError("the last attempt's error is raised")

    def _is_last(self, state: tenacity.RetryCallState) -> bool:
        """Whether attempts are used up; a busy server's "later" (429) counts only in time."""
        import openai

        error = state.outcome.exception() if state.outcome else None
        busy = isinstance(error, openai.RateLimitError)
        return not busy and state.attempt_number >= self._settings.attempts

    def _asked_to_wait(self, state: tenacity.RetryCallState) -> float:
        """Seconds that the server asked for by Retry-After, within our own limit."""
        error = state.outcome.exception() if state.outcome else None
        headers = getattr(getattr(error, "response", None), "headers", {})
        try:
            asked = float(headers.get("retry-after", 0))
        except ValueError:  # a date: our own waits will do
            return 0.0
        return min(max(asked, 0.0), self._settings.max_wait_s)

    def _given_up(self, error: Exception) -> Exception:
        status = getattr(error, "status_code", None)
        if status == 401:
            key = self._settings.api_key_env
            return QiboxError(
                f"endpoint {self._settings.base_url} refuses the key (status 401): "
                + (f"check ${key}" if key else "name its variable in settings.api_key_env")
            )
        if status == 404:
            return QiboxError(
                f"endpoint {self._settings.base_url} does not serve this model (status 404: "
                f"{_message(error, self._key)}): check base_url and the model's source"
            )
        said = describe(error, self._key)
        if is_refused_connection(error):
            return QiboxError(
                f"no server answers at {self._settings.base_url}: start it and run again"
            )
        if status is None or status >= 500 or status == 429:
            self._unanswered += 1
            if self._unanswered >= self._settings.give_up_after:
                return QiboxError(
                    f"endpoint {self._settings.base_url} left {self._unanswered} requests in a row "
                    f"without an answer ({said}): bring it back and run again"
                )
        return TriedError(said, status)


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    import openai

    if isinstance(error, openai.RateLimitError):
        return error.code != "insufficient_quota"
    if isinstance(error, openai.APIStatusError):
        return error.status_code >= 500 or error.status_code in (408, 409)
    if isinstance(error, openai.APIError):  # connection, time-out, reply of the wrong shape
        return True
    # A connection cut in the middle of a body surfaces as the HTTP library's own error.
    return isinstance(error, TimeoutError | MalformedError | json.JSONDecodeError) or type(
        error
    ).__module__.startswith("http")


def is_refused_connection(error: BaseException) -> bool:
    """Whether there was no server to send the request to, which no row is to blame for."""
    return type(error.__cause__).__name__ == "ConnectError"


def describe(error: Exception, key: str | None = None) -> str:
    """What came of a request, for a row's reason."""
    import openai

    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return "endpoint did not answer in time"
    if isinstance(error, openai.APIStatusError):
        return f"endpoint answered status {error.status_code}: {_message(error, key)}"
    if isinstance(error, openai.APIConnectionError) or type(error).__module__.startswith("http"):
        return "connection to the endpoint failed"
    if isinstance(error, MalformedError):
        return f"endpoint's {error}"
    if isinstance(error, json.JSONDecodeError):
        return "endpoint's reply is not JSON"
    return masked(f"{type(error).__name__}: {error}", key)


def masked(text: str, key: str | None) -> str:
    """The text without the key."""
    return text.replace(key, "***") if key else text


def _message(error: Exception, key: str | None) -> str:
    body = getattr(error, "body", None)
    message = body.get("message") if isinstance(body, dict) else None
    line = " ".join(str(message or getattr(error, "message", error)).split())
    return masked(line, key)[:MAX_MESSAGE]  # in this order: a key cut in two is not found
