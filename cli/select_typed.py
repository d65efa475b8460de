"""A request as one would type it: for the card of a selection."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from qibox.manifests.box import BoxManifest
from qibox.selection.frame import Frame, quota_text
from qibox.selection.request import Request


def command_line(request: Request, *, allow_overlap: bool = False) -> str:
    """The command that asks for the same; a box it cannot spell out is its manifest's."""
    words = ["qibox select RUN"]
    if request.random is not None:
        words.append(f"--random {request.random}")
    if request.box is not None:
        words += _box_words(request.box)
    if request.frame is not None:
        words += _frame_words(request.frame, request.size)
    words += _steering_words(request)
    if request.within != "pool":
        words.append(f"--within {request.within}")
    if request.seed:
        words.append(f"--seed {request.seed}")
    if allow_overlap:
        words.append("--allow-overlap")
    if request.name != "default":
        words.append(f"--name {request.name}")
    return " ".join(words)  # a recipe's slots are written out: the recipe may change


def _box_words(box: BoxManifest) -> Iterator[str]:
    low, high, least = box.q_low, box.q_high, box.u_min
    if low.value is not None and high.value is not None:
        yield f"--q-band {low.value:.15g} {high.value:.15g}"
    elif low.quantile is not None and high.quantile is not None:
        yield f"--q-band-quantile {low.quantile:.15g} {high.quantile:.15g}"
    else:
        yield f"--box {box.name}"
    if least.value is not None:
        yield f"--u-min {least.value:.15g}"
    else:
        yield f"--u-min-quantile {least.quantile:.15g}"
    if box.limit is not None:
        yield f"--limit {box.limit}"
    if box.rank not in ("instability", "weights"):
        yield f"--rank {box.rank}"


def _steering_words(request: Request) -> Iterator[str]:
    values = {
        "where": request.where,
        "weights": request.weights,
        "policy": request.policy,
        "embeddings": request.embeddings and Path(request.embeddings).name,
        "twins": request.twins,
        "augment": request.augment,
        "paraphrases": request.paraphrases and Path(request.paraphrases).name,
        "rephrase": request.rephrase and _rephraser(request.rephrase),
        "min-confidence": request.min_confidence,
    }
    for name, value in values.items():
        if value is not None:
            word = f"{value:.15g}" if isinstance(value, float) else shlex.quote(str(value))
            yield f"--{name} {word}"


def _rephraser(named: str) -> str:
    """A rephraser as it was named, a manifest by its file's name."""
    return Path(named).name if named.endswith((".yaml", ".yml")) else named


def _frame_words(frame: Frame, size: int | None) -> Iterator[str]:
    if size is not None:
        yield f"--size {size}"
    yield f"--stratify {','.join(frame.stratify)}"
    for column, quota in frame.quotas().items():
        yield f"--quota {shlex.quote(quota_text(column, quota))}"
