"""Of each model's responses: the share that shows reasoning, was cut off, or is not there."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from qibox.run.reading import side_by_side
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.endings import counts_read
from qibox.scoring.footers import Footer

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
    ``footers``: what is known of their files; only one that does not tell is read.
    """
    units = list(units)
    known = footers or {}
    told = [known[unit.path].counts if unit.path in known else None for unit in units]
    unknown = [unit.path for unit, counts in zip(units, told, strict=True) if counts is None]
    read = side_by_side(partial(counts_read, storage), unknown)
    found: dict[str, Counter[str]] = {}
    for unit, counts in zip(units, told, strict=True):
        found.setdefault(unit.model, Counter()).update((counts or next(read))._asdict())
    return tuple(
        ModelShare(model, expected=asked, **found[model])
        for model, asked in expected.items()
        if model in found
    )
