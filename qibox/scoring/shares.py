"""Of each model's responses: the share that shows reasoning, was cut off, or is not there.

Reads footers and, where some may have been cut off, the ``finish_reason`` column.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.footers import READERS, Footer, present_values

HALF = 0.5  # of a model's responses, below which those that show reasoning are too few


@dataclass(frozen=True)
class ModelShare:
    """What one model's responses are like, in rows."""

    model: str
    rows: int
    reasoned: int  # an answer with reasoning before it
    cut_off: int  # ended by the length limit: within the thoughts, or within the answer
    refused: int  # no response, for another reason: a prompt too long, an unreadable picture
    expected: bool  # the manifest says how the model shows its reasoning

    @property
    def too_few(self) -> bool:
        """Whether reasoning was asked for, and less than half of the responses show any."""
        return self.expected and self.rows > 0 and self.reasoned < HALF * self.rows


def model_shares(
    storage: Storage,
    units: Iterable[Unit],
    expected: Mapping[str, bool],
    footers: Mapping[str, Footer] | None = None,
) -> tuple[ModelShare, ...]:
    """Count the responses of these units, which are done, for each model that has any.

    ``expected``: whether reasoning was asked of a model, in the order in which they are told.
    ``footers``: what is known of their files; none is read whose rows were counted when written.
    """
    units = list(units)
    known = {path: footer.counts for path, footer in (footers or {}).items()}
    with ThreadPoolExecutor(READERS) as pool:
        counts = list(pool.map(lambda u: known.get(u.path) or _counts(storage, u.path), units))
    found: dict[str, Counter[str]] = {}
    for unit, count in zip(units, counts, strict=True):
        found.setdefault(unit.model, Counter()).update(count)
    return tuple(
        ModelShare(model, expected=asked, **{name: found[model][name] for name in COUNTED})
        for model, asked in expected.items()
        if model in found
    )


COUNTED = ("rows", "reasoned", "cut_off", "refused")


def _counts(storage: Storage, name: str) -> dict[str, int]:
    with storage.parquet(name) as parquet:
        present = [present_values(parquet, column) for column in LOOKED_AT]
        cut_off = _cut_off(parquet) if present[0] else 0
        return _told(parquet.metadata.num_rows, present, cut_off)


def counts_of(responses: pa.Table) -> Mapping[str, int] | None:
    """The same of responses in memory; None for any other table."""
    if not set(LOOKED_AT) <= set(responses.column_names):
        return None
    present = [len(responses) - responses[column].null_count for column in LOOKED_AT]
    return _told(len(responses), present, _cut_off(responses))


LOOKED_AT = ("finish_reason", "text", "reasoning")


def _told(rows: int, present: Sequence[int], cut_off: int) -> dict[str, int]:
    ended, text, reasoning = present
    thoughts = ended - text  # thoughts alone ended in some way, and are no response
    return {
        "rows": rows,
        "reasoned": max(0, reasoning - thoughts),
        "cut_off": cut_off,
        "refused": rows - ended,
    }


def _cut_off(responses: pa.Table | pq.ParquetFile) -> int:
    if isinstance(responses, pq.ParquetFile):
        responses = responses.read(["finish_reason"])
    return int(pc.sum(pc.equal(responses["finish_reason"], "length")).as_py() or 0)
