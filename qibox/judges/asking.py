"""Ask an engine, read its words strictly, and ask once more where they do not parse."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ValidationError

from qibox.engines.base import Engine
from qibox.judges.table import Failure
from qibox.manifests.sampling import Sampling
from qibox.prompts import make_prompts

RETRY_TEMPERATURE = 0.7  # a greedy judge would only repeat the words that did not parse
CHUNK_ROWS = 2048  # enough for an engine that batches continuously
CHUNK_IMAGE_BYTES = 256 << 20  # each prompt carries its picture

Parsed = TypeVar("Parsed")
Reply = TypeVar("Reply", bound=BaseModel)


class UnparsableError(ValueError):
    """A judge's words are not a verdict; the message says what is wrong with them."""


@dataclass(frozen=True)
class Question:
    """One thing to ask a judge's model; ``sample`` is a row of the samples, for its picture."""

    key: str
    sample: int
    text: str


def ask(
    engine: Engine,
    samples: pa.Table,
    questions: Sequence[Question],
    sampling: Sampling,
    parse: Callable[[str], Parsed],
    system: str | None = None,
) -> list[Parsed | Failure]:
    """Ask every question once, and those whose answer does not parse once more, with other noise.

    ``parse`` raises :class:`UnparsableError`. An engine's own failure is final: engines retry
    what a second attempt could mend.
    """
    results = _attempt(engine, samples, questions, sampling, parse, system)
    again = [i for i, r in enumerate(results) if isinstance(r, Failure) and r.raw is not None]
    if not again:
        return results
    warmer = {
        "temperature": max(sampling.temperature, RETRY_TEMPERATURE),
        "seed": sampling.seed + 1,
    }
    retried = _attempt(
        engine,
        samples,
        [questions[i] for i in again],
        sampling.model_copy(update=warmer),
        parse,
        system,
    )
    for i, second in zip(again, retried, strict=True):
        first = results[i]
        assert isinstance(first, Failure)
        if isinstance(second, Failure):
            results[i] = Failure(f"{second.reason}, in the second attempt", second.raw or first.raw)
        else:
            results[i] = second
    return results


def parse_reply(text: str, kind: type[Reply]) -> Reply:
    """Read a judge's own words as one JSON object, every field there once and of the right type.

    Raises:
        UnparsableError: they are anything else.
    """
    try:
        json.loads(text, object_pairs_hook=_each_field_once)
    except (ValueError, RecursionError) as error:
        raise UnparsableError(str(error)) from error
    try:
        return kind.model_validate_json(text)  # refuses lone surrogates, which json lets by
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UnparsableError(f"{field}: {first['msg']}") from error


def _each_field_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise UnparsableError("a field stands twice")
    return fields


def _attempt(
    engine: Engine,
    samples: pa.Table,
    questions: Sequence[Question],
    sampling: Sampling,
    parse: Callable[[str], Parsed],
    system: str | None,
) -> list[Parsed | Failure]:
    results: list[Parsed | Failure] = []
    for chunk in _chunks(samples, questions):
        completions = engine.generate(_prompts(samples, chunk, system), sampling)
        assert len(completions) == len(chunk), (len(completions), len(chunk))
        columns = (completions[name].to_pylist() for name in ("text", "finish_reason", "reason"))
        for text, finish_reason, reason in zip(*columns, strict=True):
            results.append(_read(text, finish_reason, reason, parse))
    return results


def _read(
    text: str | None, finish_reason: str | None, reason: str | None, parse: Callable[[str], Parsed]
) -> Parsed | Failure:
    if text is None:
        return Failure(f"the judge's model failed: {reason}")
    if finish_reason == "length":  # what looks whole may be the quotation it was cut off in
        return Failure("the judge's words were cut off at sampling.max_tokens", text)
    try:
        return parse(text)
    except UnparsableError as error:
        return Failure(f"the judge's words are not a verdict: {error}", text)


def _prompts(samples: pa.Table, questions: Sequence[Question], system: str | None) -> pa.Table:
    images = samples["image"].take(pa.array([q.sample for q in questions], type=pa.int64()))
    keys = pa.array([q.key for q in questions], pa.string())
    return make_prompts(keys, system, pa.array([q.text for q in questions], pa.string()), images)


def _chunks(samples: pa.Table, questions: Sequence[Question]) -> Iterator[Sequence[Question]]:
    """Split so that no chunk holds too many rows or too many bytes of pictures."""
    size = pc.binary_length(pc.struct_field(samples["image"], "bytes")).to_pylist()
    start, held = 0, 0
    for i, question in enumerate(questions):
        more = size[question.sample] or 0
        full = held + more > CHUNK_IMAGE_BYTES or i - start == CHUNK_ROWS
        if full and i > start:
            yield questions[start:i]
            start, held = i, 0
        held += more
    if start < len(questions):
        yield questions[start:]
