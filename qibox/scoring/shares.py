"""Of each model's responses: the share that shows reasoning, was cut off, or is not there.

Reads footers and, where some may have been cut off, the ``finish_reason`` column.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow.compute as pc
import pyarrow.parquet as pq

from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.footers import READERS, present_values

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
    storage: Storage, units: Iterable[Unit], expected: Mapping[str, bool]
) -> tuple[ModelShare, ...]:
    """Count the responses of these units, which are done, for each model that has any.

    ``expected``: whether reasoning was asked of a model, in the order in which they are told.
    """
    units = list(units)
    with ThreadPoolExecutor(READERS) as pool:
        counts = list(pool.map(lambda unit: _counts(storage, unit.path), units))
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
        ended, text, reasoning = (
            present_values(parquet, column) for column in ("finish_reason", "text", "reasoning")
        )
        rows = parquet.metadata.num_rows
        thoughts = ended - text  # thoughts alone ended in some way, and are no response
        return {
            "rows": rows,
            "reasoned": max(0, reasoning - thoughts),
            "cut_off": _cut_off(parquet) if ended else 0,
            "refused": rows - ended,
        }


def _cut_off(parquet: pq.ParquetFile) -> int:
    values = parquet.read(["finish_reason"])["finish_reason"]
    return int(pc.sum(pc.equal(values, "length")).as_py() or 0)
