"""Units of work and their keys: the sha256 of everything that determines a unit's file.

pool shard → responses → judgments → scores: each key contains the one before it, so a change
anywhere changes exactly the keys that depend on it, and the planner needs no file's content.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qibox.fields import identity
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.panel import ModelSpec, PanelManifest
from qibox.tables import UNCOUNTED

# Raised when the meaning of a stage's output changes, so that old files are not taken for new ones.
# "asked" is how a judge puts its prompt: one that reads another prompt is another judge, and those
# that ask no model are not touched.
FORMAT = {"pool": 1, "responses": 1, "judgments": 1, "scores": 1, "asked": 2}


@dataclass(frozen=True, slots=True)
class Shard:
    """Some samples of a pool that are worked on together."""

    number: int
    key: str
    samples: int  # its first ones; the key tells if that is not all of them


@dataclass(frozen=True, slots=True)
class Mend:
    """What to do about a file that stands: some rows are made anew, all others stay."""

    rows: int  # to be made anew; 0: only the reasons of rows that failed before this stage
    failed: int  # rows of the file with a reason
    reason: str | None  # failed rows to ask again have this in their reason; null: none of them


@dataclass(frozen=True, slots=True)
class Unit:
    """The work that one file completes: one stage's rows of one shard, for one model or judge."""

    path: str  # the file, relative to the storage
    key: str
    shard: int
    samples: int  # whose rows the file holds
    pool: str  # the file of the samples
    model: str = ""
    judge: str = ""
    home: str = ""  # where the tables lie that it is of, see qibox.run.layout
    inputs: tuple[str, ...] = ()  # files of other units that it is made of
    mend: Mend | None = None  # what of the file that stands is to be made anew; null: all of it

    @property
    def retry(self) -> str | None:
        """Which failed rows to ask again, see :class:`Mend`."""
        return self.mend.reason if self.mend is not None else None


def digest(content: object) -> str:
    """sha256 of a JSON-able value in canonical form, in hex."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def first_of(shard: Shard, samples: int) -> Shard:
    """The first samples of a shard, as a shard of its own; all of them are the shard itself."""
    if samples >= shard.samples:
        return shard
    return Shard(shard.number, digest({"shard": shard.key, "first": samples}), samples)


def shard_key(samples: pa.Table) -> str:
    """Key of a pool shard: the hash of its rows, in order, in the columns that every shard has."""
    counted = samples.select([n for n in samples.column_names if n not in UNCOUNTED])
    return table_hash(counted, f"pool/{FORMAT['pool']}")


def table_hash(table: pa.Table, what: str = "") -> str:
    """Hash of a table's rows, in order, and of what they are said to be.

    Only values count, not how they lie in memory: chunks, slices and what is under a null do not.
    """
    hasher = hashlib.sha256(what.encode())
    for name in table.column_names:
        hasher.update(f"/{name}:{table[name].type}/".encode())
        _hash_column(hasher, table[name])
    return hasher.hexdigest()


def _hash_column(hasher: "hashlib._Hash", column: pa.ChunkedArray) -> None:
    kind = column.type
    for chunk in column.chunks:
        hasher.update(pc.is_valid(chunk).cast(pa.uint8()).to_numpy().tobytes())
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            _hash_column(hasher, pc.struct_field(column, index))
        return
    values = [chunk.drop_null() for chunk in column.chunks]
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        for chunk in values:
            hasher.update(pc.binary_length(chunk).to_numpy().tobytes())
        for chunk in values:
            hasher.update(_text_bytes(chunk))
        return
    for chunk in values:
        hasher.update(chunk.to_numpy(zero_copy_only=False).tobytes())


def _text_bytes(values: pa.Array) -> memoryview:
    """The bytes of a string or binary array without nulls, end to end, not copied."""
    _, offsets, data = values.buffers()
    if len(values) == 0 or data is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, dtype=np.int32)
    return memoryview(data)[ends[values.offset] : ends[values.offset + len(values)]]


def responses_key(shard: str, model: str, spec: ModelSpec, panel: PanelManifest) -> str:
    """Key of one model's responses to one shard."""
    return responses_keys(model, spec, panel)(shard)


def responses_keys(model: str, spec: ModelSpec, panel: PanelManifest) -> Callable[[str], str]:
    """What gives the keys of one model's responses, by shard; the manifest is looked at once."""
    asked: dict[str, Any] = {
        "format": FORMAT["responses"],
        "model": model,
        "spec": identity(panel.asked(spec)),
        "prompt": panel.prompt,
        "sampling": identity(panel.sampling),
    }
    return lambda shard: digest({**asked, "shard": shard})


def judgments_key(responses: str, judge: JudgeManifest, beside: Sequence[str] = ()) -> str:
    """Key of one judge's verdicts on one file of responses.

    ``beside`` are the keys of all the shard's responses, for a judge that compares them.
    """
    return judgments_keys(judge)(responses, beside)


def judgments_keys(judge: JudgeManifest) -> Callable[[str, Sequence[str]], str]:
    """What gives :func:`judgments_key` of one judge; the manifest is looked at once."""
    key: dict[str, Any] = {"format": FORMAT["judgments"], "judge": identity(judge)}
    if judge.asks:
        key["asked"] = FORMAT["asked"]

    def of(responses: str, beside: Sequence[str]) -> str:
        compared = {"beside": sorted(beside)} if judge.compares else {}
        return digest({**key, "responses": responses, **compared})

    return of


def scores_key(judgments: Sequence[str], panel: PanelManifest) -> str:
    """Key of one shard's scores, from the keys of all its judgments."""
    return digest(
        {
            "format": FORMAT["scores"],
            "judgments": sorted(judgments),
            "min_models": panel.min_models,
            "min_responses": panel.min_responses,
        }
    )
