"""Of each model's responses: the share that shows reasoning, was cut off, or is not there."""

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.endings import counts_read
from qibox.scoring.footers import READERS, Footer

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
    known = {path: footer.counts for path, footer in (footers or {}).items()}
    with ThreadPoolExecutor(READERS) as pool:
        counts = list(pool.map(lambda u: known.get(u.path) or counts_read(storage, u.path), units))
    found: dict[str, Counter[str]] = {}
    for unit, count in zip(units, counts, strict=True):
        found.setdefault(unit.model, Counter()).update(count._asdict())
    return tuple(
        ModelShare(model, expected=asked, **found[model])
        for model, asked in expected.items()
        if model in found
    )
